"""One HTTP request to Catchment, tried until it is answered for good. It knows no metrics.

A request is tried again if the connection fails, and if the answer is 502, 503 or 504: after `Retry-After` if the
server says so, else after a random part of a time that doubles. So it is with 429 if it says when: without that it
is a limit that waiting does not move. All tries carry one `Idempotency-Key`, so that a server
which keeps keys applies the request once even if only its answer was lost.
"""

from __future__ import annotations

import base64
import gzip
import http.client
import random
import ssl
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from typing import Callable, Optional
from urllib.parse import SplitResult, unquote, urlsplit

RETRIED_STATUSES = frozenset({502, 503, 504})
LIMITED_STATUS = 429
FIRST_PAUSE_SECONDS = 0.1
LONGEST_PAUSE_SECONDS = 5.0
LONGEST_RETRY_AFTER_SECONDS = 60.0
LEAST_COMPRESSED_BYTES = 512


class PushError(Exception):
    """A request that was not accepted. Catchment applied nothing of it if it answered with 503 or a status below 500.
    If `status` is None no answer came, and it may have been applied; so it is with others, which are a proxy's or
    tell of a fault in the middle."""

    def __init__(self, message: str, status: Optional[int] = None) -> None:
        """`message` is one line."""
        super().__init__(message)
        self.status = status
        """The HTTP status of the last answer; None if there was none."""


@dataclass(frozen=True)
class Transport:
    """How requests are sent. It holds no connection, and may be shared by threads and processes."""

    timeout: float = 10.0
    """Seconds to wait for the connection, and for each step of an answer."""
    tries: int = 5
    """How often a request is sent at most; 1 is for never again."""
    basic_auth: Optional[tuple[str, str]] = field(default=None, repr=False)
    """Name and password. They may be in the URL instead."""
    bearer_token: Optional[str] = field(default=None, repr=False)
    """Sent as `Authorization: Bearer …`; wins over `basic_auth`."""
    compress: bool = True
    """Whether bodies of more than a few lines are sent as gzip."""
    headers: Mapping[str, str] = field(default_factory=dict[str, str], repr=False)
    """Further headers for every request."""
    ssl_context: Optional[ssl.SSLContext] = field(default=None, repr=False)
    """For https; None is for the system's certificates."""

    def send(
        self,
        method: str,
        url: str,
        body: bytes = b"",
        headers: Optional[Mapping[str, str]] = None,
        pause: Callable[[float], object] = time.sleep,
    ) -> None:
        """Sends a request until it is accepted (2xx). `pause` waits so many seconds between tries.

        Raises PushError if it is refused, or all tries are used up; ValueError if the URL is none.
        """
        target = _split(url)
        sent_headers, sent_body = self._prepare(target, body, headers or {})
        error = PushError("expected to try at least once")
        for attempt in range(max(1, self.tries)):
            wait: Optional[float] = None
            try:
                status, wait, answer = self._exchange(method, target, sent_body, sent_headers)
            except (OSError, http.client.HTTPException) as failure:
                error = PushError(f"{method} {_shown(target)}: {failure or type(failure).__name__}")
            else:
                if 200 <= status < 300:
                    return
                error = PushError(f"{method} {_shown(target)}: {status} {answer}".rstrip(), status)
                is_to_wait = status == LIMITED_STATUS and wait is not None
                if status not in RETRIED_STATUSES and not is_to_wait:
                    raise error
            if attempt + 1 < self.tries:
                pause(_pause_seconds(attempt) if wait is None else wait)
        raise error

    def _prepare(self, target: SplitResult, body: bytes, headers: Mapping[str, str]) -> tuple[dict[str, str], bytes]:
        # The server closes the connection, too: one that a forked child has inherited would stay open else.
        prepared = {"Idempotency-Key": str(uuid.uuid4()), "Connection": "close", **self.headers, **headers}
        authorization = self._authorization(target)
        if authorization:
            prepared["Authorization"] = authorization
        if self.compress and len(body) >= LEAST_COMPRESSED_BYTES:
            prepared["Content-Encoding"] = "gzip"
            body = gzip.compress(body, 5)
        return prepared, body

    def _authorization(self, target: SplitResult) -> Optional[str]:
        if self.bearer_token is not None:
            return f"Bearer {self.bearer_token}"
        name_and_password = self.basic_auth
        if name_and_password is None and target.username is not None:
            name_and_password = (unquote(target.username), unquote(target.password or ""))
        if name_and_password is None:
            return None
        return "Basic " + base64.b64encode(":".join(name_and_password).encode()).decode()

    def _exchange(
        self, method: str, target: SplitResult, body: bytes, headers: Mapping[str, str]
    ) -> tuple[int, Optional[float], str]:
        """One try: status, seconds to wait if the server says so, the first line of the answer."""
        connection = self._connect(target)
        try:
            path = target.path + (f"?{target.query}" if target.query else "")
            connection.request(method, path or "/", body or None, dict(headers))
            response = connection.getresponse()
            answer = response.read(1000).decode(errors="replace").partition("\n")[0]
            return response.status, _retry_after(response.getheader("Retry-After")), answer
        finally:
            connection.close()

    def _connect(self, target: SplitResult) -> http.client.HTTPConnection:
        host = target.hostname or ""
        if target.scheme == "https":
            context = self.ssl_context or ssl.create_default_context()
            return http.client.HTTPSConnection(host, target.port, timeout=self.timeout, context=context)
        return http.client.HTTPConnection(host, target.port, timeout=self.timeout)


def check_url(url: str) -> str:
    """The URL without a slash at its end. Raises ValueError if it is not one of http or https."""
    _split(url)
    return url.rstrip("/")


def _split(url: str) -> SplitResult:
    target = urlsplit(url)
    if target.scheme not in ("http", "https") or not target.hostname:
        raise ValueError(f"expected a URL such as http://localhost:9091, got {_shown(target)!r}")
    return target


def _shown(target: SplitResult) -> str:
    """The URL without a password."""
    return target._replace(netloc=target.netloc.rpartition("@")[2]).geturl()


def _pause_seconds(attempt: int) -> float:
    longest = min(LONGEST_PAUSE_SECONDS, FIRST_PAUSE_SECONDS * 2.0**attempt)
    # A pause of nothing would help nobody: at least half of it.
    return float(random.uniform(longest / 2, longest))


def _retry_after(value: Optional[str]) -> Optional[float]:
    """Seconds that the header asks for, as a number or as a date."""
    if value is None:
        return None
    try:
        seconds = float(value)
    except ValueError:
        try:
            seconds = parsedate_to_datetime(value).timestamp() - time.time()
        except (TypeError, ValueError):
            return None
    return min(max(seconds, 0.0), LONGEST_RETRY_AFTER_SECONDS)
