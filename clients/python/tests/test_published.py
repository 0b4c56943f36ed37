"""The published clients that this one replaces, unmodified, on a real Catchment."""

from __future__ import annotations

import importlib
import inspect
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import Start
from harness import Datagrams, Server, eventually, series

import catchment

LABELS = {"a": "b", "client": "published"}


@pytest.fixture(scope="session")
def old_python() -> str:
    """A Python in which the published `prometheus` 0.3.0 is installed; it needs 3.9 or older."""
    python = os.environ.get("PUBLISHED_PROMETHEUS_PYTHON", "")
    if not python:
        pytest.skip("prometheus 0.3.0 is not installed: check.sh does it where there is a Python 3.6 to 3.9")
    return python


class Published:
    """Calls of the published pusher."""

    def __init__(self, python: str, url: str, instance: str = "") -> None:
        self._command = [python, "-W", "ignore", str(Path(__file__).with_name("published_prometheus.py"))]
        self._arguments = [url, "shop", instance]

    def __call__(self, action: str, **values: float) -> None:
        settings = [f"{name}={value}" for name, value in values.items()]
        subprocess.run([*self._command, action, *self._arguments, *settings], check=True, timeout=60)


@pytest.mark.parametrize("flags", [("--door", "replace"), ("--preset", "pushgateway")])
@pytest.mark.parametrize("instance", ["", "web1"])
def test_the_published_pusher_by_the_replace_door(
    old_python: str, start: Start, flags: tuple[str, str], instance: str
) -> None:
    server = start(*flags)
    call = Published(old_python, server.url, instance)
    group = {**LABELS, "job": "shop", "instance": instance}

    def shown() -> dict[str, float]:
        found = server.samples()
        return {name: found[name, labels] for name, labels in found if ("client", "published") in labels}

    call("add", jobs_total=3, level=7)
    call("add", level=8)
    assert shown() == {"jobs_total": 3, "level": 8}
    assert server.samples()[series("level", **group)] == 8
    call("replace", took_seconds=0.5)
    assert shown()["took_seconds_count"] == 1
    assert "level" not in shown()
    call("delete", took_seconds=0.5)
    assert shown() == {}


def test_the_published_pusher_by_the_aggregate_door(old_python: str, server: Server) -> None:
    call = Published(old_python, server.url, "web1")
    labels = {**LABELS, "job": "shop", "instance": "web1"}
    call("add", jobs_total=3, took_seconds=2)
    call("replace", jobs_total=4, took_seconds=3)
    assert server.samples() == {
        series("jobs_total", **labels): 7,
        series("took_seconds_sum", **labels): 5,
        series("took_seconds_count", **labels): 2,
    }
    call("delete", jobs_total=1)
    assert server.samples() == {}


INTERFACE = """
import importlib, inspect, json
found = {}
for module_name in ("collectors", "registry", "exporter", "formats", "pusher", "negotiator"):
    module = importlib.import_module("prometheus." + module_name)
    for class_name, kind in inspect.getmembers(module, inspect.isclass):
        if kind.__module__ != module.__name__:
            continue
        for name, method in inspect.getmembers(kind, callable):
            if name == "__init__" or not name.startswith("_"):
                path = ".".join([module_name, class_name, name])
                try:
                    parameters = inspect.signature(method).parameters
                except ValueError:
                    continue
                found[path] = [p.name for p in parameters.values() if p.kind == p.POSITIONAL_OR_KEYWORD]
print(json.dumps(found))
"""


def test_all_that_the_published_classes_have_is_here(old_python: str) -> None:
    read = subprocess.run([old_python, "-W", "ignore", "-c", INTERFACE], check=True, capture_output=True, timeout=60)
    theirs = {
        path: parameters
        for path, parameters in json.loads(read.stdout).items()
        # What http.server has itself.
        if "MetricHandler" not in path or path.endswith(("do_GET", "__init__"))
    }
    # These would set an estimator of quantiles.
    for path in ("collectors.Collector.set_value", "collectors.Summary.set_value"):
        del theirs[path]
    assert len(theirs) > 40
    for path, parameters in theirs.items():
        module_name, class_name, name = path.split(".")
        kind = getattr(importlib.import_module(f"catchment.{module_name}"), class_name)
        ours = list(inspect.signature(getattr(kind, name)).parameters)
        assert ours[: len(parameters)] == parameters, path


def test_all_that_the_published_hermes_exports_is_here() -> None:
    hermes = pytest.importorskip("hermes", reason="python-hermes is not installed: the index has it not")
    functions = dict(inspect.getmembers(hermes, inspect.isfunction))
    assert len(functions) == 10
    for name, theirs in functions.items():
        ours = inspect.signature(getattr(catchment, name)).parameters
        for parameter in inspect.signature(theirs).parameters.values():
            assert ours[parameter.name].default == parameter.default or parameter.default is parameter.empty, name
        assert list(ours) == list(inspect.signature(theirs).parameters), name


HERMES = """
import sys
from hermes import set_hermes_config, increment_counter, set_gauge, increment_gauge, decrement_gauge, hermes_gauge
from hermes import gauge_wrapper, counter_wrapper, observe_histogram, observe_summary

set_hermes_config("127.0.0.1", int(sys.argv[1]))
one, two = {"label_1": "x"}, {"label_1": "x", "label_2": "y"}
set_gauge("sample_gauge", 5, two)
increment_gauge("sample_gauge", two)
decrement_gauge("sample_gauge", two)
increment_gauge("sample_gauge", two)
with hermes_gauge("sample_gauge", two):
    pass
observe_histogram("sample_histogram", one, 0.3)
observe_summary("sample_summary", one, 2)
increment_counter("sample_counter", one)
counter_wrapper("sample_counter", one)(gauge_wrapper("sample_gauge", two)(lambda: None))()
"""


def run_hermes(port: int) -> None:
    pytest.importorskip("hermes", reason="python-hermes is not installed: the index has it not")
    subprocess.run([sys.executable, "-W", "ignore", "-c", HERMES, str(port)], check=True, timeout=60)


def test_the_published_hermes_sends_what_this_client_sends(datagrams: Datagrams) -> None:
    run_hermes(datagrams.port)
    theirs = [datagrams.next() for _ in range(12)]
    catchment.set_hermes_config("127.0.0.1", datagrams.port)
    names = {name: getattr(catchment, name) for name in catchment.__all__}
    lines = [line for line in HERMES.splitlines() if not line.startswith(("import", "from", "set_hermes_config"))]
    exec("\n".join(lines), names)
    ours = [datagrams.next() for _ in range(12)]
    for sent in theirs:
        # It sends a null where there is no value.
        sent["payload"] = {name: value for name, value in sent["payload"].items() if value is not None}
    for sent in ours:
        # What Hermes does not know.
        sent.pop("type", None)
    assert ours == theirs


def test_the_published_hermes_on_a_server(listening: Server) -> None:
    run_hermes(listening.udp_port)
    one, two = {"label_1": "x"}, {"label_1": "x", "label_2": "y"}
    eventually(lambda: listening.samples().get(series("sample_counter", **one)) == 2, "the counter")
    eventually(lambda: listening.samples().get(series("sample_gauge", **two)) == 6, "the gauge")
    # Where nothing is declared, nothing in its datagram tells a histogram from a summary.
    found = listening.samples()
    if "TYPE sample_histogram histogram" in listening.page():
        assert found[series("sample_histogram_bucket", le="0.5", **one)] == 1
