"""Datagrams: their form, that they never raise, and what a real server makes of them."""

from __future__ import annotations

import math
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any, Callable

import pytest
from conftest import Start
from harness import HOST, Datagrams, Server, eventually, series

import catchment
from catchment import hermes
from catchment._log import QuietLog


@pytest.fixture(autouse=True)
def closed_afterwards() -> Iterator[None]:
    hermes._log = QuietLog("catchment.hermes")
    yield
    hermes._sender.close()


@pytest.mark.parametrize(
    ("call", "expected"),
    [
        (
            lambda: catchment.push_counter(metric_name="c", labels={"label_1": "x"}),
            {"metric_name": "c", "payload": {"labels": {"label_1": "x"}}},
        ),
        (
            lambda: catchment.push_gauge(metric_name="g", value=65.6, labels={"a": "ä", "b": "1"}),
            {"metric_name": "g", "payload": {"labels": {"a": "ä", "b": "1"}, "operation": "set", "value": 65.6}},
        ),
        (lambda: catchment.push_counter("c"), {"metric_name": "c", "payload": {"labels": {}}}),
        (
            lambda: catchment.push_counter("c", {}, 3),
            {"metric_name": "c", "type": "counter", "payload": {"labels": {}, "value": 3}},
        ),
        (lambda: catchment.increment_counter("c", {}), {"metric_name": "c", "payload": {"labels": {}}}),
        (
            lambda: catchment.set_gauge("g", math.inf, {}),
            {"metric_name": "g", "payload": {"labels": {}, "operation": "set", "value": "+Inf"}},
        ),
        (
            lambda: catchment.increment_gauge("g", {"a": "b"}),
            {"metric_name": "g", "payload": {"labels": {"a": "b"}, "operation": "increment"}},
        ),
        (
            lambda: catchment.decrement_gauge("g", {"a": "b"}),
            {"metric_name": "g", "payload": {"labels": {"a": "b"}, "operation": "decrement"}},
        ),
        (
            lambda: catchment.observe_histogram("h", {"a": "b"}, 0.5),
            {"metric_name": "h", "payload": {"labels": {"a": "b"}, "observation": 0.5}, "type": "histogram"},
        ),
        (
            lambda: catchment.push_histogram("h", 0.5, {"a": "b"}),
            {"metric_name": "h", "payload": {"labels": {"a": "b"}, "observation": 0.5}, "type": "histogram"},
        ),
        (
            lambda: catchment.observe_summary("s", {}, 2),
            {"metric_name": "s", "payload": {"labels": {}, "observation": 2}, "type": "summary"},
        ),
        (
            lambda: catchment.push_summary("s", 2),
            {"metric_name": "s", "payload": {"labels": {}, "observation": 2}, "type": "summary"},
        ),
    ],
)
def test_the_form_of_datagrams(datagrams: Datagrams, call: Callable[[], None], expected: Any) -> None:
    catchment.set_hermes_config("localhost", datagrams.port)
    call()
    assert datagrams.next() == expected


def test_decorators_and_the_context_manager(datagrams: Datagrams) -> None:
    catchment.set_hermes_config(HOST, datagrams.port)

    def seen() -> tuple[str, str]:
        found = datagrams.next()
        return found["metric_name"], found["payload"].get("operation", "")

    @catchment.counter_wrapper("before", {})
    @catchment.counter_wrapper("after", {}, pre_execution=False)
    @catchment.gauge_wrapper("running", {})
    def work(fails: bool) -> int:
        if fails:
            raise KeyError
        return 7

    assert work(False) == 7
    assert [seen() for _ in range(4)] == [
        ("before", ""),
        ("running", "increment"),
        ("running", "decrement"),
        ("after", ""),
    ]
    with pytest.raises(KeyError):
        work(True)
    assert [seen() for _ in range(3)] == [("before", ""), ("running", "increment"), ("running", "decrement")]
    with catchment.hermes_gauge("inside", {}):
        assert seen() == ("inside", "increment")
    assert seen() == ("inside", "decrement")
    with catchment.timer("seconds"):
        pass
    assert 0 <= datagrams.next()["payload"]["observation"] < 5


@pytest.mark.parametrize(
    "call",
    [
        lambda: catchment.push_gauge("g", "high", {}),  # type: ignore[arg-type]
        lambda: catchment.push_counter("", {}),
        lambda: catchment.push_counter("c", ["a"]),  # type: ignore[arg-type]
        lambda: catchment.push_counter("c", {"a": "x" * 70_000}),
    ],
)
def test_nothing_raises_into_the_program(
    datagrams: Datagrams, caplog: pytest.LogCaptureFixture, call: Callable[[], None]
) -> None:
    catchment.set_hermes_config(HOST, datagrams.port)
    call()
    catchment.push_counter("good", {})
    assert datagrams.next()["metric_name"] == "good"
    assert len(caplog.records) == 1


@pytest.mark.parametrize("host", ["unix:///nowhere/at/all", "no-such-host.invalid", "a" * 70, ".."])
def test_a_server_that_is_not_there_raises_nothing(caplog: pytest.LogCaptureFixture, host: str) -> None:
    catchment.set_hermes_config(host, 1)
    for _ in range(5):
        catchment.push_counter("c", {})
    assert 1 <= len(caplog.records) <= 2


@pytest.mark.parametrize(("host", "port"), [(1, 7789), ("localhost", "7789"), (None, None)])
def test_a_configuration_of_the_wrong_kind_is_refused(host: Any, port: Any) -> None:
    with pytest.raises(hermes.HermesConfigurationException, match="expected a host"):
        catchment.set_hermes_config(host, port)


def test_a_server_that_comes_back_misses_nothing_from_then_on(datagrams: Datagrams) -> None:
    port = datagrams.port
    catchment.set_hermes_config(HOST, port)
    datagrams.close()
    for _ in range(3):
        catchment.push_counter("lost", {})
    again = Datagrams(address=(HOST, port))
    for number in range(3):
        catchment.push_counter(f"found_{number}", {})
    assert [again.next()["metric_name"] for _ in range(3)] == ["found_0", "found_1", "found_2"]
    again.close()


def test_a_unix_socket_that_is_made_anew(tmp_path: Path) -> None:
    path = str(tmp_path / "datagrams.sock")
    catchment.set_hermes_config(f"unix://{path}", 0)
    for number in range(2):
        listening = Datagrams(socket.AF_UNIX, path)
        catchment.push_counter("c", {"n": str(number)})
        assert listening.next()["payload"]["labels"] == {"n": str(number)}
        listening.close()
        os.unlink(path)


def test_a_full_socket_is_not_waited_for(tmp_path: Path) -> None:
    listening = Datagrams(socket.AF_UNIX, str(tmp_path / "full.sock"))
    catchment.set_hermes_config(f"unix://{tmp_path}/full.sock", 0)
    for _ in range(5_000):
        catchment.push_counter("c", {})
    assert listening.next()["metric_name"] == "c"
    listening.close()


def test_forked_children_share_the_socket(datagrams: Datagrams) -> None:
    script = (
        "import os, catchment\n"
        f"catchment.set_hermes_config('{HOST}', {datagrams.port})\n"
        "catchment.push_counter('parent')\n"
        "pids = [os.fork() for _ in range(3)]\n"
        "catchment.push_counter('one_of_eight')\n"
        "[os.waitpid(pid, 0) for pid in pids if pid]\n"
    )
    subprocess.run([sys.executable, "-W", "ignore", "-c", script], check=True, timeout=60)
    names = [datagrams.next()["metric_name"] for _ in range(9)]
    assert sorted(names) == ["one_of_eight"] * 8 + ["parent"]


# As in Hermes' README, but for the names of the package and the server's port, and for a quote that is missing there.
SNIPPET = """
from catchment import push_gauge, push_counter, set_hermes_config

# set hermes configuration
set_hermes_config('localhost', 7789)

# push new counter metric
counter_data = {
    'label_1': 'testing python client'
}
push_counter(metric_name='sample_counter', labels=counter_data)

# set new gauge value
gauge_data = {
    'label_1': 'testing python client twice',
    'label_2': 'testing python client thrice'
}
push_gauge(metric_name='sample_gauge', value=65.6, labels=gauge_data)
"""

GAUGE = series("sample_gauge", label_1="testing python client twice", label_2="testing python client thrice")
COUNTER = series("sample_counter", label_1="testing python client")


def test_hermes_own_example(datagrams: Datagrams) -> None:
    exec(SNIPPET.replace("7789", str(datagrams.port)), {})
    assert datagrams.next()["metric_name"] == "sample_counter"
    assert datagrams.next()["payload"]["value"] == 65.6


def test_hermes_own_example_on_a_server(listening: Server) -> None:
    exec(SNIPPET.replace("7789", str(listening.udp_port)), {})
    eventually(lambda: listening.samples().get(GAUGE) == 65.6, "the gauge")
    assert listening.samples()[COUNTER] == 1


def test_datagrams_arrive_by_a_unix_socket(start: Start, tmp_path: Path) -> None:
    path = tmp_path / "observations.sock"
    server = start("--udp-listen", f"unix:{path}")
    catchment.set_hermes_config(f"unix://{path}", 0)

    def has_counted(number: int) -> bool:
        return server.samples().get(series("c_total", a="b")) == number

    # Few of them may wait at a time.
    for number in range(1, 6):
        catchment.push_counter("c_total", {"a": "b"})
        eventually(partial(has_counted, number), "the datagram")


def test_all_kinds_arrive(listening: Server) -> None:
    catchment.set_hermes_config(HOST, listening.udp_port)
    one, two = {"label_1": "x"}, {"label_1": "x", "label_2": "y"}
    for _ in range(3):
        catchment.increment_counter("sample_counter", one)
    catchment.set_gauge("sample_gauge", 5, two)
    catchment.increment_gauge("sample_gauge", two)
    catchment.increment_gauge("sample_gauge", two)
    catchment.decrement_gauge("sample_gauge", two)
    for value in (0.3, 4):
        catchment.observe_histogram("sample_histogram", one, value)
        catchment.observe_summary("sample_summary", one, value)
    catchment.push_counter("sample_counter", one, 4)
    eventually(lambda: listening.samples().get(series("sample_counter", **one)) == 7, "the last datagram")
    found = listening.samples()
    assert found[series("sample_gauge", **two)] == 6
    assert found[series("sample_histogram_sum", **one)] == 4.3
    assert found[series("sample_histogram_bucket", le="0.5", **one)] == 1
    assert found[series("sample_summary_count", **one)] == 2
    assert found[series("sample_summary_sum", **one)] == 4.3
