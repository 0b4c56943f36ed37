"""Observations, one at a time, for programs that keep no registry: each call says what has happened, and Catchment adds
it up.

A call leaves a note in a queue and returns, in a microsecond or so. A thread in the background combines the notes and
sends them every second. Nothing here raises into the program or waits for the network; what cannot be delivered is
counted in `Client.dropped` and said, sparingly, by the logger `catchment.client`.
"""

from __future__ import annotations

import atexit
import json
import os
import queue
import sys
import threading
import time
import weakref
from collections import deque
from collections.abc import Iterator, Sequence
from types import TracebackType
from typing import Literal, Optional, Union

from catchment._around import Around
from catchment._batch import COUNTER, GAUGE_DEC, GAUGE_INC, GAUGE_SET, HISTOGRAM, SUMMARY, Batch, Entry, Record
from catchment._labels import Labels
from catchment._log import QuietLog
from catchment.transport import PushError, Transport, check_url

DEFAULT_TRANSPORT = Transport(tries=8)
MOST_OBJECTS_PER_REQUEST = 1000
REFUSED_STATUSES = frozenset({400, 413, 429})
"""Of a push of which a part may be taken: it is faulty, too large, or has series beyond a limit."""
EXIT_SECONDS = 5.0


class Client:
    """Sends observations to a Catchment.

    All of it may be called from any thread, from signal handlers, and after a fork: a child has a queue and a thread of
    its own, and what the parent had not sent yet stays the parent's. What is recorded is sent when the process ends in
    good order; a child that ends by `os._exit` calls `flush` before (those of `multiprocessing` do it by themselves).

    Labels are copied in the call, so the caller may change the dict afterwards. Names, labels and values are checked
    when they are sent; what is wrong is logged and dropped, and harms nothing else.
    """

    _queue: deque[Union[Record, threading.Event]]
    """What is to be sent; an Event is set when everything before it has been dealt with."""
    _attention: int
    """With how many calls in the queue something is to be done."""
    _wake: queue.SimpleQueue[None]
    _thread: Optional[threading.Thread]
    _not_queued: int
    _not_delivered: int

    def __init__(
        self, url: str, *, interval: float = 1.0, max_queue: int = 100_000, transport: Optional[Transport] = None
    ) -> None:
        """`url` is the server's, such as `http://localhost:9091`; a door may be at its end (`…/aggregate`).

        What is recorded is sent every `interval` seconds, or earlier when much has come. At most `max_queue` calls are
        kept until then; further ones are dropped. Raises ValueError for a bad URL.
        """
        self._url = check_url(url)
        self._interval = interval
        self._max_queue = max_queue
        self._wake_at = max(1, max_queue // 4)
        self._transport = transport or DEFAULT_TRANSPORT
        self._log = QuietLog("catchment.client")
        self._closed = False
        self._begin()
        _clients.add(self)

    def counter(self, name: str, value: float = 1, labels: Labels = None, description: Optional[str] = None) -> None:
        """Adds `value`, which is 0 or more, to a counter."""
        self._record(COUNTER, name, value, labels, description)

    def gauge_inc(self, name: str, value: float = 1, labels: Labels = None, description: Optional[str] = None) -> None:
        """Adds `value` to a gauge; one that is not there yet begins at 0."""
        self._record(GAUGE_INC, name, value, labels, description)

    def gauge_dec(self, name: str, value: float = 1, labels: Labels = None, description: Optional[str] = None) -> None:
        """Takes `value` from a gauge; one that is not there yet begins at 0."""
        self._record(GAUGE_DEC, name, value, labels, description)

    def gauge_set(self, name: str, value: float, labels: Labels = None, description: Optional[str] = None) -> None:
        """Sets a gauge."""
        self._record(GAUGE_SET, name, value, labels, description)

    def summary(self, name: str, value: float, labels: Labels = None, description: Optional[str] = None) -> None:
        """Gives a summary one observation."""
        self._record(SUMMARY, name, value, labels, description)

    def histogram(
        self,
        name: str,
        value: float,
        labels: Labels = None,
        description: Optional[str] = None,
        buckets: Optional[Sequence[float]] = None,
    ) -> None:
        """Gives a histogram one observation. `buckets` are upper bounds in rising order, in the unit of the value; None
        is for the server's, from 0.005 to 10."""
        self._record(HISTOGRAM, name, value, labels, description, buckets)

    def timer(
        self,
        name: str,
        labels: Labels = None,
        description: Optional[str] = None,
        buckets: Optional[Sequence[float]] = None,
        kind: Literal["histogram", "summary"] = "histogram",
    ) -> Around[float]:
        """Observes how many seconds a block, or each call of a function, takes: `with client.timer(…):` or
        `@client.timer(…)`."""

        def observe(began: float, _: object) -> None:
            self._record(kind, name, time.perf_counter() - began, labels, description, buckets)

        return Around(time.perf_counter, observe)

    def count(self, name: str, labels: Labels = None, description: Optional[str] = None) -> Around[None]:
        """Counts how often a block is entered, or a function called."""
        return Around(lambda: self._record(COUNTER, name, 1, labels, description), lambda _, __: None)

    def in_progress(self, name: str, labels: Labels = None, description: Optional[str] = None) -> Around[None]:
        """A gauge of how many run a block, or a function, at the moment."""
        return Around(
            lambda: self._record(GAUGE_INC, name, 1, labels, description),
            lambda _, __: self._record(GAUGE_DEC, name, 1, labels, description),
        )

    def count_exceptions(
        self,
        name: str,
        exceptions: Union[type[BaseException], tuple[type[BaseException], ...]] = Exception,
        labels: Labels = None,
        description: Optional[str] = None,
    ) -> Around[None]:
        """Counts the exceptions of these kinds that leave a block or a function."""

        def count(_: None, kind: Optional[type[BaseException]]) -> None:
            if kind is not None and issubclass(kind, exceptions):
                self._record(COUNTER, name, 1, labels, description)

        return Around(lambda: None, count)

    @property
    def dropped(self) -> int:
        """How many calls of this process have come to nothing: because the queue was full, they were wrong, or the
        server could not be reached or refused them."""
        return self._not_queued + self._not_delivered

    def flush(self, timeout: float = EXIT_SECONDS) -> bool:
        """Sends what has been recorded, and waits up to `timeout` seconds for it. Returns whether it has all been dealt
        with in that time; what was refused is, too."""
        if threading.current_thread() is self._thread:
            return False
        if self._closed or (self._thread is None and not self._queue):
            return not self._queue
        done = threading.Event()
        self._queue.append(done)
        if self._thread is None:
            self._start()
        self._wake.put(None)
        return done.wait(timeout)

    def close(self, timeout: float = EXIT_SECONDS) -> bool:
        """Flushes, ends the thread, and drops what is recorded from now on. Returns what `flush` returns."""
        is_flushed = self.flush(timeout)
        self._closed = True
        self._attention = 0
        self._wake.put(None)
        return is_flushed

    def __enter__(self) -> Client:
        """The client itself."""
        return self

    def __exit__(
        self,
        kind: Optional[type[BaseException]],
        error: Optional[BaseException],
        traceback: Optional[TracebackType],
    ) -> None:
        """Closes it."""
        self.close()

    # What follows runs in the caller's thread. It takes no lock that another may hold for long: `deque.append` is
    # atomic.

    def _record(
        self,
        kind: str,
        name: str,
        value: float,
        labels: Labels,
        description: Optional[str],
        buckets: Optional[Sequence[float]] = None,
    ) -> None:
        try:
            if len(self._queue) >= self._attention and not self._attend():
                return
            frozen = tuple(labels.items()) if labels else ()
            bounds = None if buckets is None else tuple(buckets)
            self._queue.append((kind, name, value, frozen, description, bounds))
        except Exception as error:
            self._not_queued += 1
            self._log.warn("record", "dropped an observation of %r: %r", name, error)

    def _attend(self) -> bool:
        """Does what a call need not do each time: starts the thread, wakes it, drops. Returns whether there is room."""
        waiting = len(self._queue)
        if self._closed or waiting >= self._max_queue:
            self._not_queued += 1
            self._log.warn("full", "dropped an observation: %s", "closed" if self._closed else "the queue is full")
            return False
        if self._thread is None:
            self._start()
        elif waiting >= self._wake_at:
            # Until the thread has been here, only a full queue is worth another look.
            self._attention = self._max_queue
            self._wake.put(None)
        return True

    def _start(self) -> None:
        # Whoever comes meanwhile need not wait.
        if not self._starting.acquire(blocking=False):
            return
        try:
            if self._thread is None:
                thread = threading.Thread(target=self._run, name="catchment-client", daemon=True)
                thread.start()
                self._thread = thread
                self._attention = self._wake_at
        finally:
            self._starting.release()

    def _begin(self) -> None:
        """An empty queue, and no thread yet: of a new client, and of a client in a forked child."""
        self._queue = deque()
        self._attention = 0
        # Its `put` may be interrupted by a signal handler that calls it, which an Event's `set` may not.
        self._wake = queue.SimpleQueue()
        self._starting = threading.Lock()
        self._thread = None
        self._not_queued = 0
        self._not_delivered = 0

    # What follows runs in the client's own thread.

    def _run(self) -> None:
        while not self._closed or self._queue:
            self._wait()
            try:
                self._send_queue()
            except Exception as error:
                self._log.warn("send", "cannot send: %r", error)

    def _wait(self) -> None:
        try:
            self._wake.get(timeout=self._interval)
            while True:
                self._wake.get_nowait()
        except queue.Empty:
            return

    def _send_queue(self) -> None:
        batch = Batch()
        waiting: list[threading.Event] = []
        for _ in range(len(self._queue)):
            item = self._queue.popleft()
            if isinstance(item, threading.Event):
                waiting.append(item)
                continue
            try:
                batch.add(item)
            except Exception as error:
                # Whatever somebody's numbers and labels raise: the others are to be sent.
                self._lose(1, error)
        self._attention = self._wake_at
        if self._closed:
            self._attention = 0
        try:
            for kind, entries in batch.requests():
                for chunk in _chunks(entries):
                    self._send_or_lose(kind, chunk)
        finally:
            for event in waiting:
                event.set()

    def _send_or_lose(self, kind: str, entries: list[Entry]) -> None:
        try:
            self._send(kind, entries)
        except Exception as error:
            self._lose(sum(entry.records for entry in entries), error)

    def _send(self, kind: str, entries: list[Entry]) -> None:
        """Sends entries as one push, which is applied as a whole or not at all."""
        body = json.dumps([entry.as_object(kind) for entry in entries], separators=(",", ":")).encode()
        headers = {"Content-Type": "application/json"}
        try:
            self._transport.send("POST", f"{self._url}/metrics/{kind}", body, headers)
        except PushError as error:
            if error.status not in REFUSED_STATUSES or len(entries) == 1:
                self._lose(sum(entry.records for entry in entries), error)
                return
            # What is at fault, or over a limit, is to cost the others nothing: it is found by halves.
            middle = len(entries) // 2
            self._send_or_lose(kind, entries[:middle])
            self._send_or_lose(kind, entries[middle:])

    def _lose(self, records: int, error: Exception) -> None:
        self._not_delivered += records
        self._log.warn(f"lost {type(error).__name__}", "dropped %d observations: %s", records, error)


def _chunks(entries: list[Entry]) -> Iterator[list[Entry]]:
    for start in range(0, len(entries), MOST_OBJECTS_PER_REQUEST):
        yield entries[start : start + MOST_OBJECTS_PER_REQUEST]


_clients: weakref.WeakSet[Client] = weakref.WeakSet()


def _flush_at_exit() -> None:
    deadline = time.monotonic() + EXIT_SECONDS
    for client in list(_clients):
        client.flush(max(0.0, deadline - time.monotonic()))


def _begin_in_child() -> None:
    for client in list(_clients):
        client._begin()
    # A child of multiprocessing ends without the handlers of atexit; it has its own, which it empties before it begins.
    util = sys.modules.get("multiprocessing.util")
    if util is not None and _clients:
        util.register_after_fork(_flush_at_exit, _flush_when_a_child_ends)


def _flush_when_a_child_ends(_: object) -> None:
    util = sys.modules["multiprocessing.util"]
    util.Finalize(None, _flush_at_exit, exitpriority=100)


atexit.register(_flush_at_exit)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_begin_in_child)
