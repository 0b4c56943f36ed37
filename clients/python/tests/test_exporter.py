"""The exporter, and which format it chooses."""

from __future__ import annotations

import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from http.server import HTTPServer
from typing import Any

import pytest
from harness import HOST, samples, series

from catchment.collectors import Counter
from catchment.exporter import PrometheusMetricHandler
from catchment.formats import PrometheusFormat, ProtobufFormat, ProtobufTextFormat, TextFormat
from catchment.negotiator import Negotiator
from catchment.registry import Registry

PROTOBUF = "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding="


@pytest.mark.parametrize(
    ("accept", "expected"),
    [
        (None, TextFormat),
        ("*/*", TextFormat),
        ("text/plain", TextFormat),
        ("text/plain; version=0.0.4", TextFormat),
        (PROTOBUF + "delimited", ProtobufFormat),
        (PROTOBUF + "text", ProtobufTextFormat),
        (PROTOBUF + "compact-text", TextFormat),
        ("application/vnd.google.protobuf; proto=other; encoding=delimited", TextFormat),
        ("application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5", TextFormat),
        (PROTOBUF + "delimited;q=0.3, text/plain;version=0.0.4;q=0.2", ProtobufFormat),
        (PROTOBUF + "delimited;q=0.3, text/plain;version=0.0.4;q=0.7", TextFormat),
        (PROTOBUF + "delimited;q=0", TextFormat),
        ("text/html, " + PROTOBUF + "delimited;q=oops", TextFormat),
        (";;,=,", TextFormat),
    ],
)
def test_the_reader_gets_what_it_weighs_most(accept: str, expected: type[PrometheusFormat]) -> None:
    headers = {} if accept is None else {"ACCEPT": accept}
    assert Negotiator.negotiate(headers) is expected


@pytest.fixture
def url() -> Iterator[str]:
    registry = Registry()
    registry.register(Counter("c_total", "Ä.")).inc({"a": "ö"})

    class Silent(PrometheusMetricHandler):
        def log_message(self, format: str, *args: Any) -> None:
            pass

    server = HTTPServer((HOST, 0), lambda *args, **kwargs: Silent(registry, *args, **kwargs))
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield f"http://{HOST}:{server.server_address[1]}"
    server.shutdown()
    thread.join()
    server.server_close()


def test_it_shows_the_registry(url: str) -> None:
    with urllib.request.urlopen(f"{url}/metrics?x=y") as answer:
        assert answer.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
        assert samples(answer.read().decode()) == {series("c_total", a="ö"): 1}


def test_it_speaks_protobuf(url: str) -> None:
    request = urllib.request.Request(f"{url}/metrics", headers={"Accept": PROTOBUF + "delimited"})
    with urllib.request.urlopen(request) as answer:
        assert answer.headers["Content-Type"].startswith("application/vnd.google.protobuf")
        assert b"c_total" in answer.read()


def test_other_paths_are_not_found(url: str) -> None:
    with pytest.raises(urllib.error.HTTPError, match="404") as caught:
        urllib.request.urlopen(f"{url}/")
    caught.value.close()
