"""What the end-to-end tests are built of: a running Catchment, requests to it, its page read by the official parser."""

import http.client
import os
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families

HOST = "127.0.0.1"
REPOSITORY = Path(__file__).resolve().parents[2]
REQUEST_SECONDS = 15
START_SECONDS = 20
STOP_SECONDS = 40


def binary():
    """The program under test."""
    path = Path(os.environ.get("CATCHMENT_BIN") or REPOSITORY / "target/release/catchment").resolve()
    assert path.is_file(), f"no binary at {path}: build it, or set CATCHMENT_BIN"
    return str(path)


def clean_environment(**extra):
    """The environment without settings of whoever runs the tests; CATCHMENT_BIN would be an unknown one, too."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("CATCHMENT_")}
    return kept | extra


def run_to_end(*arguments, environment=None):
    """Runs the program where it is expected to end by itself."""
    return subprocess.run(
        [binary(), *arguments],
        env=clean_environment(**(environment or {})),
        capture_output=True,
        text=True,
        timeout=START_SECONDS,
    )


def free_port():
    with socket.socket() as listener:
        listener.bind((HOST, 0))
        return listener.getsockname()[1]


def eventually(probe, what, seconds=START_SECONDS):
    """Polls until `probe` returns something true, and returns it."""
    deadline = time.monotonic() + seconds
    while not (found := probe()):
        assert time.monotonic() < deadline, f"{what}: not within {seconds} s"
        time.sleep(0.02)
    return found


class Process:
    """A child that writes its output to a file and is ended by its own pid."""

    def __init__(self, arguments, environment):
        self.output = tempfile.TemporaryFile("w+")
        self.child = subprocess.Popen(
            arguments, env=environment, stdin=subprocess.DEVNULL, stdout=self.output, stderr=subprocess.STDOUT
        )

    def has_ended(self):
        return self.child.poll() is not None

    def log(self):
        self.output.seek(0)
        return self.output.read()

    def ask_to_stop(self, how=signal.SIGTERM):
        if not self.has_ended():
            self.child.send_signal(how)

    def exit_code(self, seconds=STOP_SECONDS):
        try:
            return self.child.wait(seconds)
        except subprocess.TimeoutExpired:
            self.child.kill()
            self.child.wait()
            raise AssertionError(f"did not end within {seconds} s; its log:\n{self.log()}") from None


class Server:
    """A running Catchment."""

    def __init__(self, *flags, environment=None, shutdown_delay="50ms"):
        for _ in range(5):
            self.port = free_port()
            arguments = [binary(), "--listen", f"{HOST}:{self.port}", "--shutdown-delay", shutdown_delay, *flags]
            self.process = Process(arguments, clean_environment(**(environment or {})))
            eventually(lambda: self.process.has_ended() or self.is_ready(), "ready")
            if not self.process.has_ended():
                return
            # Somebody else may have taken the port meanwhile; any other end is a failure.
            assert "cannot listen" in self.process.log(), self.process.log()
        raise AssertionError("no port stayed free")

    @property
    def address(self):
        return f"{HOST}:{self.port}"

    @property
    def url(self):
        return f"http://{self.address}"

    def is_ready(self):
        try:
            return self.get("/-/ready")[0] == 200
        except OSError:
            return False

    def is_closed(self):
        """Whether it takes no connections any more."""
        with socket.socket() as probe:
            return probe.connect_ex((HOST, self.port)) != 0

    def connection(self):
        return http.client.HTTPConnection(HOST, self.port, timeout=REQUEST_SECONDS)

    def request(self, method, path, body=None, headers=None):
        """One request on a connection of its own: status, headers, body."""
        connection = self.connection()
        try:
            connection.request(method, path, body, headers or {})
            response = connection.getresponse()
            return response.status, response.headers, response.read()
        finally:
            connection.close()

    def get(self, path):
        status, _, body = self.request("GET", path)
        return status, body.decode()

    def push(self, body, path="/metrics", method="POST"):
        """Status and answer of one push."""
        status, _, answer = self.request(method, path, body if isinstance(body, bytes) else body.encode())
        return status, answer.decode()

    def push_all(self, *bodies, path="/metrics", method="POST"):
        for body in bodies:
            assert self.push(body, path, method) == (202, "")

    def own(self, name, **labels):
        """A sample of Catchment's own metrics."""
        return samples(self.get("/-/metrics")[1])[series(name, **labels)]

    def page(self):
        status, text = self.get("/metrics")
        assert status == 200
        return text

    def stop(self):
        """Ends it as an orchestrator does, and looks at how it ended."""
        self.process.ask_to_stop()
        assert self.process.exit_code() == 0, self.process.log()
        assert "panicked" not in self.process.log(), self.process.log()


def series(name, **labels):
    """How `samples` names a series."""
    return name, tuple(sorted(labels.items()))


def samples(text):
    """Every sample of a page by name and labels. No series may be there twice."""
    found = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            key = series(sample.name, **sample.labels)
            assert key not in found, f"{key} is on the page twice"
            assert sample.timestamp is None
            found[key] = sample.value
    return found


def types(text):
    """The declared type of each family, by its name as on the page."""
    declared = re.findall(r"^# TYPE (\S+) (\S+)$", text, re.MULTILINE)
    assert len(declared) == len(dict(declared)), "a family is on the page twice"
    return dict(declared)


def histogram(buckets, total=None, count=None, name="h", **labels):
    """The samples of a histogram as `samples` reads them. Bounds as on the page."""
    found = {series(f"{name}_bucket", le=bound, **labels): value for bound, value in buckets.items()}
    if total is not None:
        found[series(f"{name}_sum", **labels)] = total
    if count is not None:
        found[series(f"{name}_count", **labels)] = count
    return found


def histogram_text(buckets, total=None, count=None, name="h"):
    """A histogram without labels as a push."""
    lines = [f"# TYPE {name} histogram"]
    lines += [f'{name}_bucket{{le="{bound}"}} {value}' for bound, value in buckets.items()]
    lines += [] if total is None else [f"{name}_sum {total}"]
    lines += [] if count is None else [f"{name}_count {count}"]
    return "\n".join(lines) + "\n"


def push_big_page(server):
    """Makes the page far bigger than what sockets can buffer; returns its lines."""
    pushes, count = 4, 30_000
    for part in range(pushes):
        lines = [f'big{{part="{part}",number="{number}",padding="{"x" * 200}"}} 1\n' for number in range(count)]
        server.push_all("".join(lines))
    return pushes * count + 1


def slow_scrape(port, path="/metrics"):
    """A scrape whose reader keeps next to nothing in its buffers, so that the server has to wait for it."""
    connection = socket.socket()
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    connection.settimeout(REQUEST_SECONDS)
    connection.connect((HOST, port))
    connection.sendall(f"GET {path} HTTP/1.1\r\nHost: {HOST}\r\nConnection: close\r\n\r\n".encode())
    response = http.client.HTTPResponse(connection, method="GET")
    response.begin()
    connection.close()  # The response keeps it open until it has been read.
    assert response.status == 200
    return response


def find_program(name):
    """Where a program is, or None if it is missing and may be."""
    path = shutil.which(name)
    assert path or os.environ.get("CI") != "true", f"{name} is missing, and CI=true demands it"
    return path
