"""The examples of slok's `prometheus`, as its README has them: they run when the package's name is changed and nothing
else."""

from __future__ import annotations

import http.server
import threading
import urllib.request
from typing import Any

import pytest
from harness import HOST, eventually, samples, series

SERVE = """
from http.server import HTTPServer
from prometheus.exporter import PrometheusMetricHandler
from prometheus.registry import Registry

registry = Registry()

def handler(*args, **kwargs):
    PrometheusMetricHandler(registry, *args, **kwargs)

server = HTTPServer(('', 8888), handler)
server.serve_forever()
"""

COUNTER = """
from prometheus.collectors import Counter

uploads_metric = Counter("file_uploads_total", "File total uploads.")
uploads_metric.inc({'type': "png", })
"""

GAUGE = """
from prometheus.collectors import Gauge

ram_metric = Gauge("memory_usage_bytes", "Memory usage in bytes.", {'host': host})
ram_metric.set({'type': "virtual", }, 100)
"""

SUMMARY = """
from prometheus.collectors import Summary

http_access =  Summary("http_access_time", "HTTP access time", {'time': 'ms'})

values = [3, 5.2, 13, 4]

for i in values:
    http_access.add({'time': '/static'}, i)
"""

LABELS = """
ram_metric = Gauge("memory_usage_bytes", "Memory usage in bytes.")
ram_metric.set({'type': "virtual", }, 100)
ram_metric.set({'type': "swap", }, 100)
"""

WITHOUT_CONST_LABELS = """
ram_metric = Gauge("memory_usage_bytes", "Memory usage in bytes.")
ram_metric.set({'type': "virtual", 'host': host}, 100)
ram_metric.set({'type': "swap", 'host': host}, 100)
"""

CONST_LABELS = """
ram_metric = Gauge("memory_usage_bytes", "Memory usage in bytes.",  {'host': host})
ram_metric.set({'type': "virtual", }, 100)
ram_metric.set({'type': "swap", }, 100)
"""


def run(example: str) -> dict[str, Any]:
    """What the example leaves behind."""
    from catchment.collectors import Gauge

    names: dict[str, Any] = {"host": "web1", "Gauge": Gauge}
    exec(example.replace("from prometheus.", "from catchment."), names)
    return names


def shown(*collectors: Any) -> dict[Any, float]:
    from catchment.formats import TextFormat
    from catchment.registry import Registry

    registry = Registry()
    for collector in collectors:
        registry.register(collector)
    return samples(TextFormat().marshall(registry))


def test_the_counter() -> None:
    assert shown(run(COUNTER)["uploads_metric"]) == {series("file_uploads_total", type="png"): 1}


def test_the_gauge() -> None:
    assert shown(run(GAUGE)["ram_metric"]) == {series("memory_usage_bytes", host="web1", type="virtual"): 100}


def test_the_summary() -> None:
    found = shown(run(SUMMARY)["http_access"])
    assert found[series("http_access_time_sum", time="/static")] == 25.2
    assert found[series("http_access_time_count", time="/static")] == 4


def test_the_labels() -> None:
    assert shown(run(LABELS)["ram_metric"]) == {
        series("memory_usage_bytes", type="virtual"): 100,
        series("memory_usage_bytes", type="swap"): 100,
    }


def test_const_labels_are_the_same_as_labels_everywhere() -> None:
    assert shown(run(CONST_LABELS)["ram_metric"]) == shown(run(WITHOUT_CONST_LABELS)["ram_metric"])


def test_the_exporter(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    servers: list[http.server.HTTPServer] = []

    class Local(http.server.HTTPServer):
        """Listens on this machine alone, on a free port."""

        def __init__(self, address: tuple[str, int], handler: Any) -> None:
            assert address == ("", 8888)
            super().__init__((HOST, 0), handler)
            servers.append(self)

    monkeypatch.setattr(http.server, "HTTPServer", Local)
    names: dict[str, Any] = {}
    example = compile(SERVE.replace("from prometheus.", "from catchment."), "README", "exec")
    thread = threading.Thread(target=exec, args=(example, names))
    thread.start()
    server = eventually(lambda: servers and servers[0], "the server")
    assert isinstance(server, Local)
    names["registry"].register(run(COUNTER)["uploads_metric"])
    with urllib.request.urlopen(f"http://{HOST}:{server.server_address[1]}/metrics") as answer:
        assert samples(answer.read().decode()) == {series("file_uploads_total", type="png"): 1}
    server.shutdown()
    thread.join()
    server.server_close()
