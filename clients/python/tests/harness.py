"""What the tests are built of: a running Catchment, and servers that only write down what they are sent."""

from __future__ import annotations

import gzip
import http.client
import json
import os
import re
import socket
import subprocess
import tempfile
import threading
import time
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Callable, Optional, TypeVar

from prometheus_client.parser import text_string_to_metric_families

HOST = "127.0.0.1"
REPOSITORY = Path(__file__).resolve().parents[3]
START_SECONDS = 20
STOP_SECONDS = 40

Found = TypeVar("Found")
Series = tuple[str, tuple[tuple[str, str], ...]]


def binary() -> str:
    """The program under test."""
    path = Path(os.environ.get("CATCHMENT_BIN") or REPOSITORY / "target/release/catchment").resolve()
    assert path.is_file(), f"no binary at {path}: build it, or set CATCHMENT_BIN"
    return str(path)


def eventually(probe: Callable[[], Optional[Found]], what: str, seconds: float = START_SECONDS) -> Found:
    """Polls until `probe` returns something true, and returns it."""
    deadline = time.monotonic() + seconds
    while not (found := probe()):
        assert time.monotonic() < deadline, f"{what}: not within {seconds} s"
        time.sleep(0.01)
    return found


class Server:
    """A running Catchment, ended by its own pid."""

    def __init__(self, *flags: str) -> None:
        environment = {name: value for name, value in os.environ.items() if not name.startswith("CATCHMENT_")}
        self._output = tempfile.TemporaryFile("w+")  # noqa: SIM115 - it is open as long as the server runs
        self._child = subprocess.Popen(
            [binary(), "--listen", f"{HOST}:0", "--shutdown-delay", "0s", *flags],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=self._output,
            stderr=subprocess.STDOUT,
        )
        self.port = self._logged_port(r"listening: push.*")
        eventually(lambda: self.request("GET", "/-/ready")[0] == 200, "ready")

    def _logged_port(self, line: str) -> int:
        pattern = re.compile(rf"{line}127\.0\.0\.1:(\d+)")
        found: Optional[re.Match[str]] = None

        def is_there_or_has_ended() -> bool:
            nonlocal found
            has_ended = self._child.poll() is not None
            found = pattern.search(self.log())
            return found is not None or has_ended

        eventually(is_there_or_has_ended, line)
        if found is None:
            log = self.log()
            self._output.close()
            raise AssertionError(f"the server ended at once:\n{log}")
        return int(found[1])

    @property
    def udp_port(self) -> int:
        """Where it takes datagrams."""
        return self._logged_port(r".*UDP.*")

    @property
    def url(self) -> str:
        return f"http://{HOST}:{self.port}"

    def log(self) -> str:
        self._output.seek(0)
        return re.sub(r"\x1b\[[0-9;]*m", "", self._output.read())

    def request(self, method: str, path: str, body: Optional[bytes] = None) -> tuple[int, str]:
        connection = http.client.HTTPConnection(HOST, self.port, timeout=15)
        try:
            connection.request(method, path, body)
            response = connection.getresponse()
            return response.status, response.read().decode()
        finally:
            connection.close()

    def page(self) -> str:
        status, text = self.request("GET", "/metrics")
        assert status == 200
        return text

    def samples(self) -> dict[Series, float]:
        return samples(self.page())

    def stop(self) -> None:
        self._child.terminate()
        try:
            code = self._child.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._child.kill()
            self._child.wait()
            raise
        log = self.log()
        self._output.close()
        assert code == 0, log
        assert "panicked" not in log, log


def series(name: str, **labels: str) -> Series:
    """How `samples` names a series."""
    return name, tuple(sorted(labels.items()))


def samples(text: str) -> dict[Series, float]:
    """Every sample of a page. No series may be there twice."""
    found: dict[Series, float] = {}
    names = set(re.findall(r"^[a-zA-Z_:][a-zA-Z0-9_:]*", text, re.MULTILINE))
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            # The parser gives counters an ending that they may not have.
            name = sample.name if sample.name in names else sample.name.removesuffix("_total")
            key = series(name, **sample.labels)
            assert key not in found, f"{key} is on the page twice"
            found[key] = sample.value
    return found


@dataclass
class Request:
    """What a recorder was sent."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes

    def objects(self) -> list[dict[str, Any]]:
        found = json.loads(self.body)
        assert isinstance(found, list)
        return found


@dataclass
class Answer:
    """What a recorder answers; status 0 is for a connection that is cut."""

    status: int = 202
    headers: dict[str, str] = field(default_factory=dict)
    body: str = ""


class Recorder:
    """An HTTP server that writes down requests, and answers as it is told."""

    def __init__(self) -> None:
        self.requests: list[Request] = []
        self.answer: Callable[[Request], Answer] = lambda _: Answer()
        recorder = self

        class Handler(BaseHTTPRequestHandler):
            def answer(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                if self.headers.get("Content-Encoding") == "gzip":
                    body = gzip.decompress(body)
                request = Request(self.command, self.path, dict(self.headers.items()), body)
                recorder.requests.append(request)
                answer = recorder.answer(request)
                if answer.status == 0:
                    self.close_connection = True
                    self.connection.shutdown(socket.SHUT_RDWR)
                    return
                self.send_response(answer.status)
                for name, value in answer.headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(answer.body)))
                self.end_headers()
                self.wfile.write(answer.body.encode())

            do_GET = do_POST = do_PUT = do_DELETE = answer  # noqa: N815

            def log_message(self, format: str, *args: object) -> None:
                pass

        self._server = ThreadingHTTPServer((HOST, 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        return f"http://{HOST}:{self._server.server_address[1]}"

    def objects(self, path: str) -> list[dict[str, Any]]:
        """All observations that came to a path, in their order."""
        return [found for request in self.requests if request.path == path for found in request.objects()]

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class Datagrams:
    """A socket that takes datagrams, and what it got."""

    def __init__(self, family: int = socket.AF_INET, address: Any = (HOST, 0)) -> None:
        self.socket = socket.socket(family, socket.SOCK_DGRAM)
        self.socket.bind(address)
        self.socket.settimeout(START_SECONDS)

    @property
    def port(self) -> int:
        found = self.socket.getsockname()[1]
        assert isinstance(found, int)
        return found

    def next(self) -> Any:
        return json.loads(self.socket.recv(65536))

    def close(self) -> None:
        self.socket.close()
