"""Observations as datagrams, in Hermes' form: nothing is waited for, nothing is answered, and what is lost is lost.

The functions have Hermes' names. None of them raises into the program but `set_hermes_config`, for arguments of the
wrong kind; what goes wrong is said, sparingly, by the logger `catchment.hermes`. Where the server has declarations,
labels have to be the declared ones, else it drops the datagram and counts it.
"""

from __future__ import annotations

import json
import math
import numbers
import socket
import time
from collections.abc import Mapping
from contextlib import AbstractContextManager
from typing import Any, Callable, Optional, TypeVar, Union

from catchment._around import Around
from catchment._labels import Labels
from catchment._log import QuietLog

Function = TypeVar("Function", bound=Callable[..., Any])

DEFAULT_HOST = "localhost"
DEFAULT_PORT = 7789
RETRY_SECONDS = 5.0
UNIX_PREFIX = "unix://"


class HermesConfigurationException(Exception):
    """The configuration is of the wrong kind."""


class InvalidMetricException(Exception):
    """A metric that cannot be sent. It is logged, not raised."""


def set_hermes_config(host: str = DEFAULT_HOST, port: int = DEFAULT_PORT) -> None:
    """Sets where datagrams go: a host's name or address, which is looked up now and not again, and a port; or the path
    of a Unix datagram socket, `unix:///run/catchment.sock`, with any port. A socket is not waited
    for: what finds it full is dropped. Without this call it is localhost:7789.

    Raises HermesConfigurationException if `host` is no string or `port` no number.
    """
    global _sender
    if not isinstance(host, str) or not isinstance(port, int):
        raise HermesConfigurationException(f"expected a host and the number of a port, got {host!r} and {port!r}")
    _sender.close()
    _sender = _Sender(host, port)
    _sender.connect()


def push_counter(metric_name: str, labels: Optional[Mapping[str, str]] = None, value: float = 1) -> None:
    """Adds to a counter: one, or `value`, which Hermes itself does not know."""
    if value == 1:
        _push(metric_name, labels, {})
    else:
        # A value alone would be that of a gauge, where nothing is declared.
        _push(metric_name, labels, {"value": value}, "counter")


def push_gauge(metric_name: str, value: float, labels: Optional[Mapping[str, str]] = None) -> None:
    """Sets a gauge."""
    _push(metric_name, labels, {"operation": "set", "value": value})


def push_histogram(metric_name: str, value: float, labels: Optional[Mapping[str, str]] = None) -> None:
    """Gives a histogram one observation."""
    _push(metric_name, labels, {"observation": value}, "histogram")


def push_summary(metric_name: str, value: float, labels: Optional[Mapping[str, str]] = None) -> None:
    """Gives a summary one observation."""
    _push(metric_name, labels, {"observation": value}, "summary")


def increment_counter(metric_name: str, labels: Mapping[str, str]) -> None:
    """Adds one to a counter."""
    push_counter(metric_name, labels)


def set_gauge(metric_name: str, value: float, labels: Mapping[str, str]) -> None:
    """Sets a gauge."""
    push_gauge(metric_name, value, labels)


def increment_gauge(metric_name: str, labels: Optional[Mapping[str, str]] = None) -> None:
    """Adds one to a gauge."""
    _push(metric_name, labels, {"operation": "increment"})


def decrement_gauge(metric_name: str, labels: Optional[Mapping[str, str]] = None) -> None:
    """Takes one from a gauge."""
    _push(metric_name, labels, {"operation": "decrement"})


def observe_histogram(metric_name: str, labels: Mapping[str, str], observation: float) -> None:
    """Gives a histogram one observation. The labels come before it, as with Hermes."""
    push_histogram(metric_name, observation, labels)


def observe_summary(metric_name: str, labels: Mapping[str, str], observation: float) -> None:
    """Gives a summary one observation. The labels come before it, as with Hermes."""
    push_summary(metric_name, observation, labels)


def counter_wrapper(
    metric_name: str, labels: Mapping[str, str], pre_execution: bool = True
) -> Callable[[Function], Function]:
    """Decorates a function so that its calls are counted: before they run, or else after they have returned."""

    def count_after(_: None, kind: Optional[type[BaseException]]) -> None:
        if kind is None and not pre_execution:
            push_counter(metric_name, labels)

    return Around(lambda: push_counter(metric_name, labels) if pre_execution else None, count_after)


def hermes_gauge(metric_name: str, labels: Mapping[str, str]) -> AbstractContextManager[None]:
    """For `with`: the gauge is one higher while the block runs."""
    return _in_progress(metric_name, labels)


def gauge_wrapper(metric_name: str, labels: Mapping[str, str]) -> Callable[[Function], Function]:
    """Decorates a function so that the gauge is one higher while it runs, also if it raises."""
    return _in_progress(metric_name, labels)


def timer(metric_name: str, labels: Optional[Mapping[str, str]] = None) -> Around[float]:
    """For `with`, or as a decorator: gives a histogram the seconds that the block or the call takes."""
    return Around(time.perf_counter, lambda began, _: push_histogram(metric_name, time.perf_counter() - began, labels))


def _in_progress(metric_name: str, labels: Mapping[str, str]) -> Around[None]:
    return Around(lambda: increment_gauge(metric_name, labels), lambda _, __: decrement_gauge(metric_name, labels))


class _Sender:
    """One socket that is connected and never waits. It takes no lock, and may be shared with forked children: a
    datagram is sent whole."""

    def __init__(self, host: str, port: int) -> None:
        self._host = host
        self._port = port
        self._family: int = socket.AF_INET
        self._address: Union[tuple[Any, ...], str, None] = None
        self._socket: Optional[socket.socket] = None
        self._next_look_up = 0.0

    def connect(self) -> None:
        """Looks the host up, if that has not been done, and makes a socket. Without success it says so."""
        try:
            if self._address is None:
                self._look_up()
            if self._address is None:
                return
            made = socket.socket(self._family, socket.SOCK_DGRAM)
            made.setblocking(False)
            try:
                made.connect(self._address)
            except BaseException:
                made.close()
                raise
            self._socket = made
        except (OSError, ValueError, OverflowError) as error:
            _log.warn("connect", "cannot send to %s: %s", self._host, error)

    def send(self, datagram: bytes) -> None:
        """Sends, or logs that it cannot."""
        try:
            if self._socket is None:
                self.connect()
            if self._socket is not None:
                self._socket.send(datagram)
        except BlockingIOError as error:
            _log.warn("full", "dropped a datagram: %s", error)
        except OSError:
            # It may be what the datagram before met with, or the server's socket may be a new one.
            self._send_anew(datagram)

    def close(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _send_anew(self, datagram: bytes) -> None:
        try:
            self.close()
            self.connect()
            if self._socket is not None:
                self._socket.send(datagram)
        except OSError as error:
            _log.warn("send", "dropped a datagram: %s", error)

    def _look_up(self) -> None:
        if self._host.startswith(UNIX_PREFIX):
            self._family, self._address = socket.AF_UNIX, self._host[len(UNIX_PREFIX) :]
            return
        # A name that is not known yet may be later, but asking for it takes time.
        if time.monotonic() < self._next_look_up:
            return
        self._next_look_up = time.monotonic() + RETRY_SECONDS
        found = socket.getaddrinfo(self._host, self._port, type=socket.SOCK_DGRAM)
        # Servers that take datagrams by IPv6 take them by IPv4; the reverse is not so.
        found.sort(key=lambda entry: entry[0] != socket.AF_INET)
        self._family, _, _, _, self._address = found[0]


_log = QuietLog("catchment.hermes")
_sender = _Sender(DEFAULT_HOST, DEFAULT_PORT)


def _push(metric_name: str, labels: Labels, payload: dict[str, Any], kind: Optional[str] = None) -> None:
    try:
        _sender.send(_datagram(metric_name, labels, payload, kind))
    except Exception as error:
        _log.warn("metric", "dropped a datagram of %r: %r", metric_name, error)


def _datagram(metric_name: str, labels: Labels, payload: dict[str, Any], kind: Optional[str]) -> bytes:
    """The object that is sent. Raises InvalidMetricException if it cannot be one."""
    if not isinstance(metric_name, str) or not metric_name:
        raise InvalidMetricException(f"expected a metric name, got {metric_name!r}")
    for name in ("value", "observation"):
        if name in payload:
            payload[name] = _number(payload[name])
    texts = {str(label): str(text) for label, text in (labels or {}).items()}
    sent: dict[str, Any] = {"metric_name": metric_name, "payload": {"labels": texts, **payload}}
    if kind is not None:
        sent["type"] = kind
    return json.dumps(sent, separators=(",", ":")).encode()


def _number(value: Any) -> Union[float, str]:
    if not isinstance(value, numbers.Real):
        raise InvalidMetricException(f"expected a number, got {value!r}")
    if isinstance(value, int):
        return int(value)
    number = float(value)
    if math.isfinite(number):
        return number
    return "NaN" if math.isnan(number) else "+Inf" if number > 0 else "-Inf"
