"""Pushes: where they go, how often they are tried, and what a real server makes of them."""

from __future__ import annotations

import base64
import gzip
import time
from email.utils import formatdate
from typing import Callable, Optional

import pytest
from conftest import Start
from harness import Answer, Recorder, Request, Server, samples, series

from catchment import PushError, Transport
from catchment import transport as transport_module
from catchment.collectors import Counter, Gauge
from catchment.formats import PrometheusFormat, ProtobufFormat, TextFormat
from catchment.push import delete, push, push_add, push_url
from catchment.pusher import Pusher
from catchment.registry import Registry

Push = Callable[..., None]


def registry(**values: float) -> Registry:
    made = Registry()
    for name, value in values.items():
        kind = Counter if name.endswith("_total") else Gauge
        made.register(kind(name, "Help.")).set({"a": "b"}, value)
    return made


@pytest.mark.parametrize(
    ("grouping_key", "door", "path"),
    [
        ({}, None, "/metrics"),
        ({"job": "j"}, None, "/metrics/job/j"),
        ({"a": "1", "job": "j", "B": "ä b%"}, "source", "/source/metrics/job/j/B/%C3%A4%20b%25/a/1"),
        ({"job": "a/b"}, "replace", "/replace/metrics/job@base64/YS9i"),
        ({"job": "j", "x": ""}, "aggregate", "/aggregate/metrics/job/j/x@base64/="),
        ({"job": ".", "x": ".."}, None, "/metrics/job@base64/Lg==/x@base64/Li4="),
        ({"job": "/ÿ?>"}, None, "/metrics/job@base64/L8O_Pz4="),
    ],
)
def test_the_path_of_a_grouping_key(grouping_key: dict[str, str], door: Optional[str], path: str) -> None:
    assert push_url("http://h:1/", grouping_key, door) == f"http://h:1{path}"


@pytest.mark.parametrize("url", ["localhost:9091", "ftp://h", "http://", ""])
def test_bad_urls_are_refused(url: str) -> None:
    with pytest.raises(ValueError, match="expected a URL"):
        push(url, Registry(), {"job": "j"})


def test_bad_doors_and_labels_are_refused() -> None:
    with pytest.raises(ValueError, match="expected a door"):
        push("http://h", Registry(), {"job": "j"}, door="back")
    with pytest.raises(ValueError, match="expected a label name"):
        push("http://h", Registry(), {"job": "j", "a-b": "x"})


@pytest.mark.parametrize("format", [TextFormat(), ProtobufFormat()])
@pytest.mark.parametrize("compress", [True, False])
def test_pushes_to_aggregate_add_up(server: Server, format: PrometheusFormat, compress: bool) -> None:
    pushed = registry(jobs_total=2, level=5)
    # Enough to be compressed.
    for number in range(50):
        counter = pushed.get("jobs_total")
        assert isinstance(counter, Counter)
        counter.add({"a": f"number {number}"}, number)
    for send in (push, push_add):
        send(server.url, pushed, {"job": "j"}, format=format, transport=Transport(compress=compress))
    found = server.samples()
    assert found[series("jobs_total", a="b", job="j")] == 4
    assert found[series("jobs_total", a="number 49", job="j")] == 98
    assert found[series("level", a="b", job="j")] == 5
    delete(server.url, {"job": "j"}, door="aggregate")
    assert server.samples() == {}


def test_sources_are_summed_and_retired(server: Server) -> None:
    for instance, values in [("1", (3, 10)), ("2", (4, 20)), ("1", (5, 11))]:
        key = {"job": "j", "instance": instance}
        push(server.url, registry(jobs_total=values[0], level=values[1]), key, door="source")
    assert server.samples() == {series("jobs_total", a="b"): 9, series("level", a="b"): 31}
    delete(server.url, {"job": "j", "instance": "1"}, door="source")
    assert server.samples() == {series("jobs_total", a="b"): 9, series("level", a="b"): 20}


def test_groups_are_replaced_added_to_and_deleted(server: Server) -> None:
    key = {"job": "a/b", "shift": ""}

    def shown() -> dict[str, float]:
        found = server.samples()
        return {name: value for (name, labels), value in found.items() if ("job", "a/b") in labels}

    push(server.url, registry(one=1, two=2), key, door="replace")
    push_add(server.url, registry(two=3), key, door="replace")
    found = shown()
    assert (found["one"], found["two"]) == (1, 3)
    push(server.url, registry(three=3), key, door="replace")
    found = shown()
    assert found["three"] == 3
    assert "one" not in found
    delete(server.url, key, door="replace")
    assert shown() == {}


def test_a_lifetime_ends(server: Server) -> None:
    push(server.url, registry(level=1), {"job": "j"}, lifetime=0.2)
    push(server.url, registry(other=1), {"job": "j"})
    deadline = time.monotonic() + 15
    while series("level", a="b", job="j") in server.samples():
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert series("other", a="b", job="j") in server.samples()


def test_a_refused_push_says_why_and_is_not_tried_again(server: Server) -> None:
    push(server.url, registry(level=1), {"job": "j"})
    wrong = Registry()
    wrong.register(Counter("level", "")).inc({"a": "b"})
    with pytest.raises(PushError, match=r"400 .*level") as caught:
        push(server.url, wrong, {"job": "j"})
    assert caught.value.status == 400


def test_credentials(start: Start) -> None:
    server = start("--push-user", "ann=s3:c%ret")
    with pytest.raises(PushError) as caught:
        push(server.url, registry(level=1), {"job": "j"})
    assert caught.value.status == 401
    push(server.url, registry(level=1), {"job": "j"}, transport=Transport(basic_auth=("ann", "s3:c%ret")))
    push(server.url.replace("//", "//ann:s3:c%25ret@"), registry(level=2), {"job": "j"})
    assert server.samples() == {series("level", a="b", job="j"): 2}


def test_a_password_is_not_shown(recorder: Recorder) -> None:
    recorder.answer = lambda _: Answer(400, body="no\nsecond line")
    url = recorder.url.replace("//", "//ann:s3cret@")
    with pytest.raises(PushError) as caught:
        push(url, registry(level=1), {"job": "j"})
    assert str(caught.value) == f"PUT {recorder.url}/metrics/job/j: 400 no"
    assert "s3cret" not in repr(Transport(basic_auth=("ann", "s3cret"), bearer_token="s3cret"))


def test_what_is_sent(recorder: Recorder) -> None:
    push(recorder.url, registry(level=1), {"job": "j"}, transport=Transport(bearer_token="t0k", headers={"X-A": "b"}))
    request = recorder.requests[0]
    assert (request.method, request.path) == ("PUT", "/metrics/job/j")
    assert request.headers["Authorization"] == "Bearer t0k"
    assert request.headers["X-A"] == "b"
    assert request.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert len(request.headers["Idempotency-Key"]) == 36
    assert samples(request.body.decode()) == {series("level", a="b"): 1}


def waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The pauses between tries, which then take no time."""
    found: list[float] = []
    monkeypatch.setattr(transport_module.Transport.send, "__defaults__", (b"", None, found.append))
    return found


@pytest.mark.parametrize("status", [502, 503, 504, 0])
def test_it_tries_again_with_one_key(recorder: Recorder, monkeypatch: pytest.MonkeyPatch, status: int) -> None:
    found = waits(monkeypatch)
    recorder.answer = lambda _: Answer(status if len(recorder.requests) < 4 else 202)
    push(recorder.url, registry(level=1), {"job": "j"})
    push(recorder.url, registry(level=1), {"job": "j"})
    keys = [request.headers["Idempotency-Key"] for request in recorder.requests]
    assert len(keys) == 5
    assert len(set(keys[:4])) == 1
    assert keys[4] != keys[0]
    assert len({request.body for request in recorder.requests}) == 1
    assert [low <= pause <= 2 * low for pause, low in zip(found, [0.05, 0.1, 0.2])] == [True] * 3


def test_it_gives_up(recorder: Recorder, monkeypatch: pytest.MonkeyPatch) -> None:
    found = waits(monkeypatch)
    recorder.answer = lambda _: Answer(503, body="busy")
    with pytest.raises(PushError, match="503 busy") as caught:
        push(recorder.url, registry(level=1), {"job": "j"}, transport=Transport(tries=12))
    assert caught.value.status == 503
    assert len(recorder.requests) == 12
    assert len(found) == 11
    assert max(found) <= 5
    recorder.close()
    with pytest.raises(PushError) as caught:
        push(recorder.url, registry(level=1), {"job": "j"}, transport=Transport(tries=2))
    assert caught.value.status is None


@pytest.mark.parametrize(
    ("header", "least", "most"),
    [("7", 7, 7), ("0", 0, 0), ("100000", 60, 60), ("-1", 0, 0), ("soon", 0, 0.1), ("date", 8, 10)],
)
def test_it_waits_as_long_as_the_server_says(
    recorder: Recorder, monkeypatch: pytest.MonkeyPatch, header: str, least: float, most: float
) -> None:
    found = waits(monkeypatch)
    value = formatdate(time.time() + 10, usegmt=True) if header == "date" else header

    def answer(_: Request) -> Answer:
        return Answer(503, {"Retry-After": value}) if len(recorder.requests) == 1 else Answer()

    recorder.answer = answer
    delete(recorder.url, {"job": "j"})
    assert len(found) == 1
    assert least <= found[0] <= most


@pytest.mark.parametrize("status", [400, 401, 404, 413, 415, 500, 301])
def test_other_answers_are_final(recorder: Recorder, status: int) -> None:
    recorder.answer = lambda _: Answer(status)
    with pytest.raises(PushError) as caught:
        delete(recorder.url, {"job": "j"})
    assert (caught.value.status, len(recorder.requests)) == (status, 1)


def test_big_bodies_are_compressed_and_small_ones_not() -> None:
    transport = Transport()
    target = transport_module._split("http://h")
    assert transport._prepare(target, b"x" * 100, {})[1] == b"x" * 100
    headers, body = transport._prepare(target, b"x" * 10_000, {})
    assert headers["Content-Encoding"] == "gzip"
    assert gzip.decompress(body) == b"x" * 10_000
    assert transport._prepare(transport_module._split("http://a:b@h"), b"", {})[0]["Authorization"] == (
        "Basic " + base64.b64encode(b"a:b").decode()
    )


@pytest.mark.parametrize("flags", [("--door", "replace"), ("--preset", "pushgateway", "--listen", "127.0.0.1:0")])
@pytest.mark.parametrize("instance", [None, "web/1"])
def test_the_older_interface(start: Start, flags: tuple[str, ...], instance: Optional[str]) -> None:
    server = start(*flags[:2])
    pusher = Pusher("j", server.url, instance)
    pusher.add(registry(one=1, two=2))
    pusher.add(registry(two=3))

    def shown() -> set[tuple[str, float]]:
        return {(name, value) for (name, _), value in server.samples().items() if name in ("one", "two", "three")}

    assert shown() == {("one", 1), ("two", 3)}
    pusher.replace(registry(three=3))
    assert shown() == {("three", 3)}
    pusher.delete(registry(three=3))
    assert shown() == set()
