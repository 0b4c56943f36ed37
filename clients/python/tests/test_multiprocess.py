"""Fleets: the workers of real servers, each a source of its own."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest
from harness import HOST, Recorder, Server, eventually, series

from catchment.collectors import Counter, Gauge
from catchment.multiprocess import start_pushing, stop_pushing
from catchment.registry import Registry

APP = """
import os
from catchment.collectors import Counter, Gauge, Histogram
from catchment.registry import Registry

registry = Registry()
requests = registry.register(Counter("shop_requests_total", "Requests."))
workers = registry.register(Gauge("shop_workers", "Workers."))
seconds = registry.register(Histogram("shop_seconds", "Times.", buckets=[1]))
requests.add({"from": "before the fork"}, 100)

def application(environ, start_response):
    workers.set(None, 1)
    requests.inc({"from": "a worker"})
    seconds.observe(None, 0.5)
    body = str(os.getpid()).encode()
    start_response("200 OK", [("Content-Length", str(len(body)))])
    return [body]
"""

GUNICORN = """
from catchment.multiprocess import start_pushing, stop_pushing

bind = "127.0.0.1:0"
workers = 3
preload_app = {preload}

def post_fork(server, worker):
    from shop import registry
    start_pushing("{url}", "shop", registry, interval=0.1)

def worker_exit(server, worker):
    stop_pushing()
"""


def test_it_pushes_running_totals_and_retires(server: Server) -> None:
    registry = Registry()
    jobs, level = registry.register(Counter("jobs_total", "")), registry.register(Gauge("level", ""))
    first = start_pushing(server.url, "j", registry, interval=0.01)
    other = start_pushing(server.url, "j", registry, interval=0.01)
    jobs.inc()
    level.set(None, 5)
    eventually(lambda: server.samples() == {series("jobs_total"): 2, series("level"): 10}, "both sources")
    other.stop()
    eventually(lambda: server.samples() == {series("jobs_total"): 2, series("level"): 5}, "one has gone")
    jobs.inc()
    first.stop()
    assert server.samples() == {series("jobs_total"): 3}, "the last push came before the end"
    first.stop()
    stop_pushing()
    assert server.samples() == {series("jobs_total"): 3}


def test_who_pushes_is_unlike_all_others(recorder: Recorder) -> None:
    for _ in range(2):
        start_pushing(recorder.url, "a/b", Registry(), interval=1000)
    start_pushing(recorder.url, "j", Registry(), interval=1000, instance="mine")
    stop_pushing()
    pushes = [request for request in recorder.requests if request.method == "PUT"]
    deletions = [request.path for request in recorder.requests if request.method == "DELETE"]
    paths = [request.path for request in pushes]
    assert paths == deletions
    assert len(set(paths)) == 3
    assert "/source/metrics/job/j/instance/mine" in paths
    pattern = rf"/source/metrics/job@base64/YS9i/instance/.*%3A{os.getpid()}%3A[0-9a-f]{{8}}"
    assert sum(bool(re.fullmatch(pattern, path)) for path in paths) == 2


def test_a_dead_server_hurts_nobody(recorder: Recorder, caplog: pytest.LogCaptureFixture) -> None:
    recorder.close()
    pushing = start_pushing(recorder.url, "j", Registry(), interval=0.001)
    eventually(lambda: caplog.records, "a warning")
    pushing.stop()
    assert len(caplog.records) == 1
    with pytest.raises(ValueError, match="expected a URL"):
        start_pushing("nowhere", "j", Registry())


def test_it_ends_with_the_interpreter(server: Server) -> None:
    script = (
        "import os\n"
        "from catchment.collectors import Counter\n"
        "from catchment.multiprocess import start_pushing\n"
        "from catchment.registry import Registry\n"
        "registry = Registry()\n"
        "counter = registry.register(Counter('jobs_total', ''))\n"
        "counter.inc()\n"
        f"start_pushing('{server.url}', 'j', registry, interval=1000)\n"
        "if os.fork() == 0:\n"
        "    raise SystemExit(0)\n"
        "os.wait()\n"
        "counter.inc()\n"
    )
    subprocess.run([sys.executable, "-W", "ignore", "-c", script], check=True, timeout=60)
    assert server.samples() == {series("jobs_total"): 2}


class Gunicorn:
    """gunicorn with three workers that push to a Catchment."""

    def __init__(self, folder: Path, url: str, preload: bool) -> None:
        (folder / "shop.py").write_text(APP)
        (folder / "gunicorn.conf.py").write_text(GUNICORN.format(url=url, preload=preload))
        self._log = folder / "log"
        command = [sys.executable, "-m", "gunicorn", "shop:application", "--log-file", str(self._log)]
        environment = {**os.environ, "GUNICORN_CMD_ARGS": ""}
        self.child = subprocess.Popen(command, cwd=folder, env=environment)
        found = eventually(lambda: re.search(rf"Listening at: http://{HOST}:(\d+)", self._read()), "gunicorn")
        self._url = f"http://{HOST}:{found[1]}/"

    def _read(self) -> str:
        return self._log.read_text() if self._log.exists() else ""

    def get(self) -> int:
        """One request; the pid of the worker that had it."""
        with urllib.request.urlopen(self._url, timeout=20) as answer:
            return int(answer.read())

    def stop(self) -> None:
        self.child.terminate()
        assert self.child.wait(30) == 0, self._read()
        assert "Traceback" not in self._read(), self._read()


@pytest.mark.skipif(sys.platform == "win32", reason="gunicorn needs fork")
@pytest.mark.parametrize("preload", [False, True])
def test_the_workers_of_gunicorn(server: Server, tmp_path: Path, preload: bool) -> None:
    gunicorn = Gunicorn(tmp_path, server.url, preload)
    total = series("shop_requests_total", **{"from": "a worker"})
    try:
        pids: set[int] = set()
        sent = 0
        while len(pids) < 3 or sent < 60:
            pids.add(gunicorn.get())
            sent += 1
        eventually(lambda: server.samples().get(total) == sent, "all requests")
        assert server.samples()[series("shop_workers")] == 3
        # A worker that is ended is replaced, and what it counted stays.
        ended = pids.pop()
        os.kill(ended, signal.SIGTERM)
        eventually(lambda: server.samples()[series("shop_workers")] == 2, "the worker's gauge has gone")
        assert server.samples()[total] == sent
        while len(pids) < 3:
            pids.add(gunicorn.get())
            sent += 1
        eventually(lambda: server.samples().get(total) == sent, "all requests after a restart")
    finally:
        gunicorn.stop()
    found = server.samples()
    assert found[total] == sent
    assert found[series("shop_seconds_count")] == sent
    assert series("shop_workers") not in found
    inherited = found.get(series("shop_requests_total", **{"from": "before the fork"}), 0)
    # What each worker counts while it loads the application is its own; what it inherits is not.
    assert inherited == (0 if preload else 400)


UWSGI = """
import uwsgidecorators
from catchment.multiprocess import start_pushing
from shop import application, registry

@uwsgidecorators.postfork
def start():
    start_pushing("{url}", "shop", registry, interval=0.1)
"""


UWSGI_PROGRAM = Path(sys.executable).with_name("uwsgi")


@pytest.mark.skipif(not UWSGI_PROGRAM.exists(), reason="uwsgi is not installed: there is no wheel for this Python")
def test_the_workers_of_uwsgi(server: Server, tmp_path: Path) -> None:
    (tmp_path / "shop.py").write_text(APP)
    (tmp_path / "served.py").write_text(UWSGI.format(url=server.url))
    log = tmp_path / "log"
    flags = ["--http-socket", f"{HOST}:0", "--master", "--processes", "3", "--enable-threads", "--die-on-term"]
    with open(log, "w") as output:
        child = subprocess.Popen(
            [str(UWSGI_PROGRAM), *flags, "--module", "served"], cwd=tmp_path, stdout=output, stderr=subprocess.STDOUT
        )
    try:
        found = eventually(lambda: re.search(rf"address {HOST}:(\d+)", log.read_text()), "uwsgi")
        for _ in range(30):
            with urllib.request.urlopen(f"http://{HOST}:{found[1]}/", timeout=20) as answer:
                answer.read()
        total = series("shop_requests_total", **{"from": "a worker"})
        eventually(lambda: server.samples().get(total) == 30, "all requests")
    finally:
        child.terminate()
        child.wait(30)
    samples = server.samples()
    assert samples[total] == 30
    assert series("shop_workers") not in samples
