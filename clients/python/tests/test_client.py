"""The client of observations: what it sends, what it keeps in order, what becomes of it at an exit, in a fork, in an
outage."""

from __future__ import annotations

import asyncio
import logging
import math
import os
import random
import subprocess
import sys
import threading
import time
from fractions import Fraction
from typing import Any, Callable

import pytest
from harness import Answer, Recorder, Request, Server, eventually, series

from catchment import Client, Transport
from catchment._batch import COUNTER, GAUGE_DEC, GAUGE_INC, GAUGE_SET, HISTOGRAM, Batch

ONCE = Transport(tries=1)


def sent(recorder: Recorder) -> dict[str, list[dict[str, Any]]]:
    found: dict[str, list[dict[str, Any]]] = {}
    for request in recorder.requests:
        found.setdefault(request.path, []).extend(request.objects())
    return found


def test_what_is_sent(recorder: Recorder) -> None:
    with Client(recorder.url) as client:
        client.counter("a_total", description="A.")
        client.counter("a_total", 2.5)
        client.counter("a_total", labels={"x": 1, "b": "ä"})
        client.counter("a_total", labels={"b": "ä", "x": "1"})
        client.gauge_inc("up")
        client.gauge_inc("up", 4)
        client.gauge_dec("down", 3)
        client.gauge_inc("down")
        client.gauge_set("set", 7)
        client.gauge_dec("set", 2)
        client.gauge_inc("later", 100)
        client.gauge_set("later", 1)
        client.summary("bytes", 10)
        client.histogram("seconds", 0.3, {"r": "s"}, "S.", [1, 2.5, math.inf])
        client.histogram("seconds", 0.3)
    assert sent(recorder) == {
        "/metrics/counter": [
            {"name": "a_total", "value": 3.5, "description": "A."},
            {"name": "a_total", "value": 2, "labels": {"b": "ä", "x": "1"}},
        ],
        "/metrics/gauge/set": [{"name": "set", "value": 5}, {"name": "later", "value": 1}],
        "/metrics/gauge/inc": [{"name": "up", "value": 5}],
        "/metrics/gauge/dec": [{"name": "down", "value": 2}],
        "/metrics/summary": [{"name": "bytes", "value": 10}],
        "/metrics/histogram": [
            {"name": "seconds", "value": 0.3, "labels": {"r": "s"}, "description": "S.", "buckets": [1, 2.5, "+Inf"]},
            {"name": "seconds", "value": 0.3},
        ],
    }
    assert {request.headers["Content-Type"] for request in recorder.requests} == {"application/json"}
    assert len({request.headers["Idempotency-Key"] for request in recorder.requests}) == 6
    assert client.dropped == 0


def test_a_gauge_is_what_its_calls_in_their_order_make_it() -> None:
    source = random.Random(7)
    for _ in range(300):
        batch, expected, is_set = Batch(), 0.0, False
        for _ in range(source.randrange(1, 8)):
            kind = source.choice([GAUGE_SET, GAUGE_INC, GAUGE_DEC])
            value = source.randrange(-5, 6)
            batch.add((kind, "g", value, (), None, None))
            change = -value if kind == GAUGE_DEC else value
            expected, is_set = (value, True) if kind == GAUGE_SET else (expected + change, is_set)
        [(kind, [entry])] = batch.requests()
        told = entry.as_object(kind)["value"]
        assert (kind == GAUGE_SET) == is_set
        assert (-told if kind == GAUGE_DEC else told) == expected


def test_labels_may_be_changed_afterwards(recorder: Recorder) -> None:
    with Client(recorder.url) as client:
        labels, buckets = {"a": "1"}, [1.0]
        client.histogram("h", 1, labels, buckets=buckets)
        labels["a"] = "2"
        buckets.append(2)
    assert sent(recorder)["/metrics/histogram"] == [{"name": "h", "value": 1, "labels": {"a": "1"}, "buckets": [1]}]


def test_timers_and_decorators(recorder: Recorder) -> None:
    with Client(recorder.url) as client:
        with client.timer("seconds"):
            time.sleep(0.02)

        @client.count("calls_total")
        @client.in_progress("running")
        @client.count_exceptions("errors_total", KeyError, {"kind": "key"})
        @client.timer("call_seconds", kind="summary")
        def work(depth: int) -> int:
            """Works."""
            if depth == 0:
                raise KeyError
            return work(depth - 1)

        with pytest.raises(KeyError):
            work(2)
        assert work.__name__ == "work"

        @client.timer("async_seconds", {"a": "b"})
        async def wait() -> str:
            await asyncio.sleep(0.02)
            return "done"

        assert asyncio.run(wait()) == "done"
    found = sent(recorder)
    times = {entry["name"]: entry["value"] for entry in found["/metrics/histogram"]}
    assert 0.02 <= times["seconds"] < 5
    assert 0.02 <= times["async_seconds"] < 5
    assert len(found["/metrics/summary"]) == 3
    assert found["/metrics/counter"] == [
        {"name": "calls_total", "value": 3},
        {"name": "errors_total", "value": 3, "labels": {"kind": "key"}},
    ]
    assert found["/metrics/gauge/inc"] == [{"name": "running", "value": 0}]


@pytest.mark.parametrize(
    ("kind", "name", "value", "labels"),
    [
        (COUNTER, "c", -1, {}),
        (COUNTER, "c", math.nan, {}),
        (COUNTER, "c", math.inf, {}),
        (COUNTER, "c", "1", {}),
        (COUNTER, "", 1, {}),
        (COUNTER, None, 1, {}),
        (COUNTER, "c", 1, ["not", "a", "dict"]),
        (GAUGE_INC, "c", math.inf, {}),
        (GAUGE_SET, "c", None, {}),
        (HISTOGRAM, "c", "x", {}),
    ],
)
def test_what_is_wrong_is_dropped_and_harms_nothing(
    recorder: Recorder, caplog: pytest.LogCaptureFixture, kind: str, name: Any, value: Any, labels: Any
) -> None:
    with Client(recorder.url) as client:
        client.counter("good_total")
        client._record(kind, name, value, labels, None)
        client.counter("good_total")
    assert sent(recorder) == {"/metrics/counter": [{"name": "good_total", "value": 2}]}
    assert client.dropped == 1
    assert [record.name for record in caplog.records] == ["catchment.client"]


def test_what_the_server_refuses_costs_only_its_own_family(recorder: Recorder) -> None:
    def answer(request: Request) -> Answer:
        is_bad = any(found["name"] == "bad" for found in request.objects())
        return Answer(400, body="type conflict") if is_bad else Answer()

    recorder.answer = answer
    with Client(recorder.url) as client:
        for name in ("a", "bad", "b", "bad"):
            client.counter(name)
    accepted = [request.objects() for request in recorder.requests if answer(request).status == 202]
    assert sorted(found["name"] for objects in accepted for found in objects) == ["a", "b"]
    assert client.dropped == 2


def test_an_outage_is_waited_for(recorder: Recorder) -> None:
    recorder.answer = lambda _: Answer(503) if len(recorder.requests) < 3 else Answer()
    with Client(recorder.url) as client:
        client.counter("c_total", 3)
        assert client.flush(20)
    assert len(recorder.requests) == 3
    assert len({request.headers["Idempotency-Key"] for request in recorder.requests}) == 1
    assert client.dropped == 0


def test_a_dead_server_raises_nothing_and_is_counted(recorder: Recorder, caplog: pytest.LogCaptureFixture) -> None:
    recorder.close()
    with Client(recorder.url, transport=ONCE) as client:
        for _ in range(5):
            client.counter("c_total")
            client.flush(20)
    assert client.dropped == 5
    assert len(caplog.records) == 1, "the log is not flooded"


def test_a_full_queue_drops_the_newest_and_counts(recorder: Recorder) -> None:
    go_on = threading.Event()

    def answer(_: Request) -> Answer:
        assert go_on.wait(20)
        return Answer()

    recorder.answer = answer
    with Client(recorder.url, interval=0.01, max_queue=10) as client:
        client.counter("first_total")
        eventually(lambda: recorder.requests, "the first request")
        began = time.monotonic()
        for number in range(25):
            client.gauge_set("g", number)
        assert time.monotonic() - began < 1, "it does not wait"
        assert client.dropped == 15
        go_on.set()
        assert client.flush(20)
        assert sent(recorder)["/metrics/gauge/set"] == [{"name": "g", "value": 9}]
        client.gauge_set("g", 99)
    assert sent(recorder)["/metrics/gauge/set"][-1] == {"name": "g", "value": 99}
    assert client.dropped == 15
    client.counter("late_total")
    assert client.dropped == 16, "it is closed"
    assert client.flush()


def test_much_is_sent_before_the_interval_ends(recorder: Recorder) -> None:
    with Client(recorder.url, interval=1000, max_queue=1000) as client:
        for _ in range(600):
            client.counter("c_total")
            time.sleep(0)
        eventually(lambda: recorder.requests, "an early request")


def test_big_batches_are_split(recorder: Recorder) -> None:
    with Client(recorder.url) as client:
        for number in range(2_500):
            client.counter("c_total", labels={"n": number})
    assert sorted(len(request.objects()) for request in recorder.requests)[-1] <= 1000
    assert sum(found["value"] for found in sent(recorder)["/metrics/counter"]) == 2_500


def test_nothing_is_lost_between_threads(recorder: Recorder) -> None:
    with Client(recorder.url, interval=0.001, max_queue=1_000_000) as client:

        def work() -> None:
            for _ in range(5_000):
                client.counter("c_total")

        threads = [threading.Thread(target=work) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert sum(found["value"] for found in sent(recorder)["/metrics/counter"]) == 20_000
    assert client.dropped == 0


def test_what_an_unreliable_server_applies_once_is_what_was_counted(recorder: Recorder) -> None:
    source, applied = random.Random(3), dict[str, float]()

    def answer(request: Request) -> Answer:
        fate = source.random()
        if fate > 0.3:
            key = request.headers["Idempotency-Key"]
            applied[key] = sum(found["value"] for found in request.objects())
        # Sometimes it is the answer alone that is lost.
        return Answer(0 if fate < 0.15 or fate > 0.8 else 503 if fate < 0.3 else 202, {"Retry-After": "0"})

    recorder.answer = answer
    with Client(recorder.url, interval=0.001, transport=Transport(tries=50)) as client:
        for number in range(300):
            client.counter("c_total", number)
            time.sleep(0.0005)
        assert client.flush(60)
    assert len(recorder.requests) > len(applied)
    assert sum(applied.values()) == sum(range(300))
    assert client.dropped == 0


def run(script: str, url: str) -> None:
    """Runs a program that has `client` and `os`."""
    program = f"import os\nfrom catchment import Client\nclient = Client({url!r}, interval=1000)\n{script}"
    ended = subprocess.run([sys.executable, "-W", "ignore", "-c", program], timeout=60, capture_output=True, text=True)
    assert (ended.returncode, ended.stderr) == (0, "")


def total(recorder: Recorder) -> dict[str, float]:
    """All that was counted, by name."""
    found: dict[str, float] = {}
    for entry in sent(recorder).get("/metrics/counter", []):
        found[entry["name"]] = found.get(entry["name"], 0) + entry["value"]
    return found


def test_what_is_left_is_sent_at_exit(recorder: Recorder) -> None:
    run("client.counter('a_total')", recorder.url)
    run("client.counter('a_total')\nraise SystemExit(0)", recorder.url)
    assert total(recorder) == {"a_total": 2}


FORKS = """
import threading
ends = threading.Event()
def busy():
    while not ends.is_set():
        client.counter('busy_total')
        ends.wait(0.0001)
thread = threading.Thread(target=busy)
thread.start()
for _ in range(20):
    client.counter('parent_total')
    pid = os.fork()
    if pid == 0:
        client.counter('child_total')
        if os.fork() == 0:
            client.counter('grandchild_total')
            client.flush()
            os._exit(0)
        os.wait()
        client.flush()
        os._exit(0)
    assert os.waitpid(pid, 0)[1] == 0
ends.set()
thread.join()
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
def test_forks_lose_nothing_and_send_nothing_twice(recorder: Recorder) -> None:
    run(FORKS, recorder.url)
    found = total(recorder)
    assert found.pop("busy_total") > 0
    assert found == {"parent_total": 20, "child_total": 20, "grandchild_total": 20}


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
def test_children_of_multiprocessing_flush_by_themselves(recorder: Recorder) -> None:
    run(
        "import multiprocessing\n"
        "client.counter('parent_total')\n"
        "context = multiprocessing.get_context('fork')\n"
        "children = [context.Process(target=client.counter, args=('child_total',)) for _ in range(5)]\n"
        "[child.start() for child in children]\n"
        "[child.join() for child in children]\n",
        recorder.url,
    )
    assert total(recorder) == {"parent_total": 1, "child_total": 5}


def test_a_signal_handler_may_count(recorder: Recorder) -> None:
    run(
        "import signal, time\n"
        "signal.signal(signal.SIGALRM, lambda *_: client.counter('signals_total'))\n"
        "signal.setitimer(signal.ITIMER_REAL, 0.0005, 0.0005)\n"
        "ends = time.monotonic() + 0.3\n"
        "while time.monotonic() < ends:\n"
        "    client.counter('calls_total')\n"
        "    client.flush(0.001)\n"
        "signal.setitimer(signal.ITIMER_REAL, 0)\n",
        recorder.url,
    )
    assert total(recorder)["signals_total"] > 10


def test_a_call_costs_less_than_three_microseconds(recorder: Recorder) -> None:
    with Client(recorder.url, interval=0.01, max_queue=1_000_000) as client:
        labels, rounds = {"method": "GET", "path": "/"}, []
        for _ in range(9):
            client.flush(20)
            began = time.perf_counter()
            for _ in range(5_000):
                client.counter("c_total", labels=labels)
            rounds.append((time.perf_counter() - began) / 5_000)
    # The best round: the others tell what else this machine does.
    assert min(rounds) < 3e-6


def test_all_kinds_arrive(server: Server) -> None:
    with Client(server.url) as client:
        client.counter("a_total", 2, {"x": 'ä"\\\n'}, "A's help.")
        client.flush()
        client.counter("a_total", labels={"x": 'ä"\\\n'})
        client.gauge_inc("g", 5)
        client.flush()
        client.gauge_dec("g", 2)
        client.gauge_set("other", math.inf)
        client.summary("bytes", 10)
        client.summary("bytes", 5)
        for value in (0.5, 1, 7):
            client.histogram("seconds", value, buckets=[1, 5])
        client.histogram("default_seconds", 0.3)
    assert client.dropped == 0
    found = server.samples()
    assert "# HELP a_total A's help.\n# TYPE a_total counter\n" in server.page()
    assert found[series("a_total", x='ä"\\\n')] == 3
    assert found[series("g")] == 3
    assert found[series("other")] == math.inf
    assert (found[series("bytes_sum")], found[series("bytes_count")]) == (15, 2)
    buckets = [found[series("seconds_bucket", le=bound)] for bound in ("1", "5", "+Inf")]
    assert buckets == [2, 2, 3]
    assert found[series("seconds_sum")] == 8.5
    bounds = [labels for name, labels in found if name == "default_seconds_bucket"]
    assert len(bounds) == 15


def test_a_real_refusal_costs_only_its_own_family(server: Server, caplog: pytest.LogCaptureFixture) -> None:
    with Client(server.url) as client:
        client.gauge_set("taken", 1)
        client.flush()
        client.counter("taken")
        client.counter("bad name", labels={"__name__": "x"})
        client.counter("fine_total")
    assert server.samples() == {series("taken"): 1, series("fine_total"): 1}
    assert client.dropped == 2
    assert any("400" in record.getMessage() for record in caplog.records)


def test_four_processes_conserve(server: Server) -> None:
    script = "for number in range(20000): client.counter('work_total', labels={'n': number % 7})"
    program = f"from catchment import Client\nclient = Client({server.url!r}, interval=0.01)\n{script}"
    children = [subprocess.Popen([sys.executable, "-c", program]) for _ in range(4)]
    assert [child.wait(60) for child in children] == [0] * 4
    assert sum(server.samples().values()) == 80_000


def test_log_messages_tell_how_many_were_held_back(
    recorder: Recorder, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    from catchment import _log

    now = [1000.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    log = _log.QuietLog("catchment.test")
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            log.warn("kind", "no %s", "way")
        log.warn("other", "different")
        now[0] += 61
        log.warn("kind", "no %s", "way")
    assert [record.getMessage() for record in caplog.records] == [
        "no way",
        "different",
        "no way (and 2 like it)",
    ]


class Unprintable:
    def __str__(self) -> str:
        raise RuntimeError("no text")


def test_whatever_is_wrong_costs_the_others_nothing(server: Server) -> None:
    with Client(server.url, interval=60) as client:
        client.counter("good_total")
        client.counter("bad_total", Fraction(10**400))  # type: ignore[arg-type]
        client.counter("bad_total", 10**5000)
        client.counter("bad_total", 10**400 + 0)
        client.counter("bad_total", labels={"a": Unprintable()})
        client.histogram("bad_seconds", 1, buckets=["a"])  # type: ignore[list-item]
        client.histogram("bad_seconds", 1, buckets=[2, 1])
        client.summary("bad_bytes", 1, description=object())  # type: ignore[arg-type]
        client.gauge_set("good", 1, {"__bad": "1"})
        client.gauge_set("good", 2, {"a": "1"})
        client.counter("good_total")
        assert client.flush()
        assert client.dropped == 8
    assert 'good{a="1"} 2' in server.page()
    assert "good_total 2" in server.page()
    assert "bad" not in server.page()


def test_a_limit_costs_known_series_nothing(start: Callable[..., Server]) -> None:
    server = start("--max-series", "1")
    with Client(server.url, interval=60) as client:
        client.counter("known_total")
        assert client.flush()
        client.counter("known_total")
        client.counter("new_total")
        began = time.monotonic()
        assert client.flush()
        assert time.monotonic() - began < 2, "a limit is not waited for"
        assert client.dropped == 1
    assert "known_total 2" in server.page()
