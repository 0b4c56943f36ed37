"""Pushes the running totals of each process of a fleet, such as gunicorn's or uwsgi's workers, to the source door.

Each process is a source of its own. Catchment shows the sum of what all have counted, those that have gone included, so
the counters never fall, whatever workers come, restart and go; gauges are summed over those that live.
"""

from __future__ import annotations

import atexit
import os
import socket
import threading
import uuid
from typing import Callable, Optional

from catchment._log import QuietLog
from catchment.formats import ProtobufFormat
from catchment.push import GroupingKey, delete, push
from catchment.registry import Registry
from catchment.transport import Transport, check_url

DEFAULT_TRANSPORT = Transport(timeout=5.0, tries=2)
"""Gives up early: the next push says everything this one would have, and a worker that ends should not wait."""


class PeriodicPush:
    """Pushes a registry again and again from a thread of its own. It is made by `start_pushing`."""

    def __init__(
        self, url: str, registry: Registry, grouping_key: GroupingKey, interval: float, transport: Transport
    ) -> None:
        """Starts nothing yet."""
        self._url = url
        self._registry = registry
        self._grouping_key = grouping_key
        self._interval = interval
        self._transport = transport
        self._log = QuietLog("catchment.multiprocess")
        self._process = os.getpid()
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run, name="catchment-push", daemon=True)

    def start(self) -> None:
        """Starts the thread, and pushes once when the interpreter ends."""
        self._thread.start()
        atexit.register(self.stop)

    def stop(self) -> None:
        """Ends the thread, pushes for the last time, and retires the source: its counts stay, its gauges leave. It
        raises nothing, and a second call, or one in a forked child, does nothing."""
        if self._ending.is_set() or os.getpid() != self._process:
            return
        self._ending.set()
        self._thread.join()
        atexit.unregister(self.stop)
        if self._push():
            self._attempt(lambda: delete(self._url, self._grouping_key, door="source", transport=self._transport))

    def _run(self) -> None:
        while not self._ending.wait(self._interval):
            self._push()

    def _push(self) -> bool:
        """Whether it was accepted."""
        return self._attempt(
            lambda: push(
                self._url,
                self._registry,
                self._grouping_key,
                door="source",
                format=ProtobufFormat(),
                transport=self._transport,
            )
        )

    def _attempt(self, request: Callable[[], None]) -> bool:
        try:
            request()
        except Exception as error:
            self._log.warn("push", "cannot push to the source door: %s", error)
            return False
        return True


def start_pushing(
    url: str,
    job: str,
    registry: Registry,
    *,
    interval: float = 15.0,
    instance: Optional[str] = None,
    transport: Optional[Transport] = None,
) -> PeriodicPush:
    """Pushes `registry` every `interval` seconds from now on, and when this process ends. Call it once in each worker,
    after it was forked; what collectors had counted before the fork is forgotten here, for it is the parent's.

    `url` is the server's, without a door. `instance` tells this process from all others: None is for host, pid and
    something unique, because a pid comes again. `interval` has to be well below the server's `--source-ttl` (5
    minutes).

    What fails is logged by the logger `catchment.multiprocess`; the next push makes up for it. Raises ValueError for a
    bad URL.
    """
    check_url(url)
    for collector in registry.get_all():
        collector.forget_parent()
    source = instance or f"{socket.gethostname()}:{os.getpid()}:{uuid.uuid4().hex[:8]}"
    pushing = PeriodicPush(url, registry, {"job": job, "instance": source}, interval, transport or DEFAULT_TRANSPORT)
    pushing.start()
    _running.append(pushing)
    return pushing


def stop_pushing() -> None:
    """Pushes for the last time, and retires this process: its counts stay, its gauges leave. For hooks that run when a
    worker ends; the interpreter's end does the same."""
    while _running:
        _running.pop().stop()


_running: list[PeriodicPush] = []
