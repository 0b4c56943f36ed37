"""The three doors: what each makes of the pushes of the official Python client, all of them at once on one page, and
the requests that break a Pushgateway, through every one of them."""

import concurrent.futures
import threading

import pytest
from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    Summary,
    delete_from_gateway,
    generate_latest,
    push_to_gateway,
    pushadd_to_gateway,
)
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text

import wire
from breakers import BREAKERS
from conformance import TIMES, page_of, pushed, settle
from harness import samples, series

DOORS = ["aggregate", "source", "replace"]
# Flags, base path, the door that is behind it.
BASES = {
    "/aggregate": ([], "/aggregate", "aggregate"),
    "/source": ([], "/source", "source"),
    "/replace": ([], "/replace", "replace"),
    "out of the box": ([], "", "aggregate"),
    **{f"--door {door}": (["--door", door], "", door) for door in DOORS},
}
TAKEN = {"aggregate": 202, "source": 202, "replace": 200}
OPENMETRICS = "application/openmetrics-text; version=1.0.0"

# Slashes, and a value that is empty, are sent in base64; a label with an empty value is no label.
KEY = {"path": "/srv/a/b", "empty": "", "title": "two words"}
SHOWN = {"job": "nightly/batch", "path": "/srv/a/b", "title": "two words"}


def work_of_a_job(rows=3, queue=7):
    registry = CollectorRegistry()
    counter = Counter("rows", "Rows done.", ["table"], registry=registry)
    counter.labels("users").inc(rows)
    counter.labels('odd "name"\\\n').inc(2.5)
    Gauge("queue_length", "Waiting.", registry=registry).set(queue)
    duration = Histogram("duration_seconds", "Time a step took.", ["step"], buckets=(0.5, 1), registry=registry)
    for seconds in (0.25, 0.75, 20):
        duration.labels("copy").observe(seconds)
    size = Summary("size_bytes", "Sizes seen.", registry=registry)
    size.observe(100)
    return registry


def one_gauge(name, value):
    registry = CollectorRegistry()
    Gauge(name, "A gauge.", registry=registry).set(value)
    return registry


def sent(registry, pushes=1, **labels):
    """What a client sends, but for the gauges that tell when its metrics began; added up over some equal pushes."""
    found = {}
    for (name, own), value in samples(generate_latest(registry).decode()).items():
        # Bounds are shown by their value, and the client sends `1.0`.
        by_value = {label: text.removesuffix(".0") if label == "le" else text for label, text in own}
        if not name.endswith("_created"):
            times = 1 if name == "queue_length" else pushes
            found[series(name, **(by_value | labels))] = value * times
    return found


def shown(server):
    """The page without when metrics began, and when groups were pushed."""
    return {
        (name, labels): value
        for (name, labels), value in page_of(server, own=()).items()
        if not name.endswith("_created") and name not in TIMES
    }


def check_shown(server, expected):
    """Deletions may be on their way when they are answered."""
    assert settle(lambda: shown(server), expected) == expected


@pytest.fixture(params=BASES.values(), ids=BASES.keys())
def door(request, start):
    """A server, the URL of one of its doors, and which one that is."""
    flags, base, name = request.param
    server = start("--shards", "3", *flags)
    return server, server.url + base, name


@pytest.mark.parametrize("push", [push_to_gateway, pushadd_to_gateway], ids=["PUT", "POST"])
def test_the_client_pushes_through_every_door(door, push):
    server, url, name = door
    for _ in range(2):
        push(url, job="nightly/batch", registry=work_of_a_job(), grouping_key=KEY)
    # `aggregate` adds up; `source` knows it for the same totals, and leaves the labels of the path away.
    expected = {
        "aggregate": sent(work_of_a_job(), pushes=2, **SHOWN),
        "source": sent(work_of_a_job()),
        "replace": sent(work_of_a_job(), instance="", **SHOWN),
    }
    assert shown(server) == expected[name]
    times = {key: value for key, value in page_of(server).items() if key[0] in TIMES}
    assert times == (pushed(**SHOWN) if name == "replace" else {})


def test_another_group_of_the_client_is_another_one_at_every_door(door):
    server, url, name = door
    for instance in ("", "a/b"):
        push_to_gateway(url, job="x", registry=work_of_a_job(), grouping_key={"instance": instance})
    first, second = {"job": "x"}, {"job": "x", "instance": "a/b"}
    both = sent(work_of_a_job(), pushes=2)
    expected = {
        "aggregate": sent(work_of_a_job(), **first) | sent(work_of_a_job(), **second),
        "source": both | {series("queue_length"): 14},
        "replace": sent(work_of_a_job(), instance="", **first) | sent(work_of_a_job(), **second),
    }
    assert shown(server) == expected[name]


def test_what_the_client_does_not_push_again(door):
    server, url, name = door
    push_to_gateway(url, job="nightly/batch", registry=one_gauge("first", 1), grouping_key=KEY)
    pushadd_to_gateway(url, job="nightly/batch", registry=one_gauge("second", 2), grouping_key=KEY)
    labels = {"aggregate": SHOWN, "source": {}, "replace": SHOWN | {"instance": ""}}[name]
    first, second, third = (series(own, **labels) for own in ("first", "second", "third"))
    assert shown(server) == {first: 1, second: 2}
    push_to_gateway(url, job="nightly/batch", registry=one_gauge("third", 3), grouping_key=KEY)
    # Only `replace` takes PUT for all there is.
    assert shown(server) == ({third: 3} if name == "replace" else {first: 1, second: 2, third: 3})


def test_the_client_deletes_through_every_door(door):
    server, url, name = door
    for job in ("a/b", "c"):
        push_to_gateway(url, job=job, registry=work_of_a_job(), grouping_key=KEY)
    delete_from_gateway(url, job="a/b", grouping_key=KEY)
    delete_from_gateway(url, job="nobody", grouping_key={"x": "/"})
    if name == "source":
        # What the source had counted stays counted; its gauge leaves.
        check_shown(server, sent(work_of_a_job(), pushes=2))
        push_to_gateway(url, job="a/b", registry=work_of_a_job(rows=1), grouping_key=KEY)
        expected = sent(work_of_a_job(), pushes=3)
        expected |= {series("rows_total", table="users"): 7, series("queue_length"): 14}
        check_shown(server, expected)
        delete_from_gateway(url, job="a/b", grouping_key=KEY)
        delete_from_gateway(url, job="c", grouping_key=KEY)
        del expected[series("queue_length")]
        check_shown(server, expected)
        return
    labels = {"job": "c", "path": SHOWN["path"], "title": SHOWN["title"]}
    labels |= {"instance": ""} if name == "replace" else {}
    check_shown(server, sent(work_of_a_job(), **labels))
    delete_from_gateway(url, job="c", grouping_key=KEY)
    check_shown(server, {})


def test_deletion_from_one_door_leaves_the_others(server):
    for name in DOORS:
        push_to_gateway(f"{server.url}/{name}", job="x", registry=one_gauge(f"of_{name}", 1))
    of_aggregate = series("of_aggregate", job="x")
    of_source = series("of_source")
    of_replace = series("of_replace", job="x", instance="")
    check_shown(server, {of_aggregate: 1, of_source: 1, of_replace: 1})
    delete_from_gateway(f"{server.url}/aggregate", job="x")
    check_shown(server, {of_source: 1, of_replace: 1})
    delete_from_gateway(f"{server.url}/source", job="x")
    check_shown(server, {of_replace: 1})
    delete_from_gateway(f"{server.url}/replace", job="x")
    check_shown(server, {})


def test_the_aggregate_door_deletes_every_series_with_these_labels(server):
    for path in ("/job/x", "/job/x/l/1", "/job/y", "/job/y/l/1"):
        server.push_all("a 1\n# TYPE h histogram\nh_count 1\n", path="/aggregate/metrics" + path)
    server.push_all('a{job="x",k="2"} 1\n')
    assert server.request("DELETE", "/aggregate/metrics/job/x")[0] == 202
    left = [{"job": "y"}, {"job": "y", "l": "1"}]
    parts = {"a": {}, "h_count": {}, "h_bucket": {"le": "+Inf"}}
    check_shown(server, {series(name, **own, **labels): 1 for labels in left for name, own in parts.items()})
    assert server.request("DELETE", "/aggregate/metrics/l/1")[0] == 202
    check_shown(server, {series(name, **own, job="y"): 1 for name, own in parts.items()})
    # What is gone begins anew.
    server.push_all("a 1\n", path="/aggregate/metrics/job/x")
    assert shown(server)[series("a", job="x")] == 1


ROUNDS = 30


class Client:
    """A program with metrics that programs in Python have."""

    def __init__(self):
        self.registry = CollectorRegistry()
        self.cpu = Counter("process_cpu_seconds", "CPU time.", registry=self.registry)
        self.memory = Gauge("process_resident_memory_bytes", "Memory.", registry=self.registry)
        self.requests = Counter("requests", "Requests.", ["code"], registry=self.registry)
        self.seconds = Histogram("request_seconds", "Time.", buckets=(0.5, 1), registry=self.registry)

    def work(self, number):
        self.cpu.inc(0.25)
        self.memory.set(number)
        self.requests.labels(str(200 + number % 3)).inc(2)
        self.seconds.observe(number % 3 / 2)


def push_increments(url):
    """A program for each push: what comes through `aggregate` is added."""
    total = Client()
    for number in range(ROUNDS):
        client = Client()
        client.work(number)
        total.work(number)
        pushadd_to_gateway(url, job="lambda", registry=client.registry)
    return sent(total.registry, job="lambda")


def push_totals(url):
    """Two workers that live on; gauges of sources are summed, too."""
    clients = {"a/1": Client(), "b/2": Client()}
    for number in range(ROUNDS):
        for instance, client in clients.items():
            client.work(number)
            pushadd_to_gateway(url, job="worker", registry=client.registry, grouping_key={"instance": instance})
    return sent(clients["a/1"].registry, pushes=2)


def push_states(url):
    """A job that shows how far it is."""
    client = Client()
    for number in range(ROUNDS):
        client.work(number)
        push_to_gateway(url, job="nightly", registry=client.registry)
    return sent(client.registry, job="nightly", instance="")


def check_pages(server):
    """Both parsers take the page, and no series is there twice; a label with an empty value is none."""
    status, _, page = server.request("GET", "/metrics", headers={"Accept": OPENMETRICS})
    assert status == 200
    for families in (parse_text(server.page()), parse_openmetrics(page.decode())):
        found = [
            series(sample.name, **{label: text for label, text in sample.labels.items() if text})
            for family in families
            for sample in family.samples
        ]
        assert len(found) == len(set(found))
    return found


def test_all_doors_at_once_give_one_page(server):
    is_over = threading.Event()

    def scrape():
        pages = 0
        while not is_over.is_set():
            check_pages(server)
            pages += 1
        return pages

    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        scraping = pool.submit(scrape)
        try:
            pushing = [
                pool.submit(push, f"{server.url}/{name}")
                for name, push in zip(DOORS, (push_increments, push_totals, push_states))
            ]
            expected = {}
            for one in pushing:
                expected |= one.result()
        finally:
            is_over.set()
        assert scraping.result() > 0
    assert shown(server) == expected
    in_openmetrics = {name for name, _ in check_pages(server)}
    assert {name for name, _ in expected} <= in_openmetrics


def send(server, door, path, body, headers=None):
    status, _, answer = server.request("POST", f"/{door}/metrics{path}", body, headers or {})
    return status, answer.decode()


# Two pushes that bring one and the same series: door, path, body. An empty label is none.
SAME_SERIES = {
    "aggregate and source": (("aggregate", "", b"m 1\n"), ("source", "/job/x", b"m 1\n")),
    "aggregate by its body and source": (
        ("aggregate", "/job/x", b'm{l="1"} 1\n'),
        ("source", "/job/y", b'm{l="1",job="x"} 1\n'),
    ),
    "aggregate and replace": (("aggregate", "/job/x", b"m 1\n"), ("replace", "/job/x", b"m 1\n")),
    "source and replace": (("source", "/job/y", b'm{job="x"} 1\n'), ("replace", "/job/x", b"m 1\n")),
    "histograms of aggregate and replace": (
        ("aggregate", "/job/x/instance/y", b"# TYPE m histogram\nm_sum 1\nm_count 1\n"),
        ("replace", "/job/x/instance/y", b'# TYPE m histogram\nm_bucket{le="+Inf"} 1\nm_sum 1\nm_count 1\n'),
    ),
    "gauges of source and aggregate": (
        ("source", "/job/x", b'# TYPE m gauge\nm{l="1"} 1\n'),
        ("aggregate", "/l/1", b"# TYPE m gauge\nm 1\n"),
    ),
}
# What cannot be beside each other, though no series is the same.
OTHER_TYPES = {
    "a gauge beside a counter": (
        ("aggregate", "/job/a", b"# TYPE m gauge\nm 1\n"),
        ("replace", "/job/b", b"# TYPE m counter\nm 1\n"),
    ),
    "a counter beside a gauge": (
        ("source", "/job/a", b"# TYPE m counter\nm 1\n"),
        ("replace", "/job/b", b"# TYPE m gauge\nm 1\n"),
    ),
    "the count of a summary": (
        ("source", "/job/a", b"# TYPE m summary\nm_sum 1\nm_count 1\n"),
        ("replace", "/job/b", b"# TYPE m_count gauge\nm_count 1\n"),
    ),
}
CLASHES = SAME_SERIES | OTHER_TYPES


@pytest.mark.parametrize("order", [1, -1], ids=["forth", "back"])
@pytest.mark.parametrize("pushes", CLASHES.values(), ids=CLASHES.keys())
def test_what_one_door_shows_no_other_door_breaks(server, pushes, order):
    first, second = pushes[::order]
    assert send(server, *first)[0] == TAKEN[first[0]]
    before = shown(server)
    status, answer = send(server, second[0], second[1], b"innocent 1\n" + second[2])
    assert (status, answer.count("\n")) == (400, 1)
    assert "m" in answer and shown(server) == before
    check_pages(server)
    # It was refused for the other's sake, and is taken when that is gone.
    if first[0] == "replace":
        assert server.request("DELETE", f"/replace/metrics{first[1]}")[0] == 202
        assert send(server, *second)[0] == TAKEN[second[0]]
        assert any(name.startswith("m") for name, _ in shown(server))


def test_a_family_may_come_through_every_door(server):
    text = b'# HELP m_total All.\n# TYPE m_total counter\nm_total{l="1"} 5\n'
    for name in DOORS:
        for _ in range(2):
            assert send(server, name, f"/job/{name}", text) == (TAKEN[name], "")
    assert shown(server) == {
        series("m_total", l="1", job="aggregate"): 10,
        series("m_total", l="1"): 5,
        series("m_total", l="1", job="replace", instance=""): 5,
    }
    check_pages(server)


def protobuf(path, *families):
    return path, b"".join(families), {"Content-Type": wire.PROTOBUF}


def gauge(name, **labels):
    return wire.family(name, wire.GAUGE, wire.metric(wire.GAUGE, 1, **labels))


def histogram(kind, **labels):
    return wire.family("h", kind, wire.metric(kind, wire.histogram(1, 1, {1: 1}), **labels))


TWO_SPELLINGS = b'# TYPE h histogram\nh_bucket{le="1"} 1\nh_bucket{le="1.0"} 1\nh_bucket{le="+Inf"} 1\nh_count 1\n'
# Requests that break a Pushgateway for everybody: whether they must be refused, and the pushes.
BROKEN = {
    "1: a path value in base64 that is not UTF-8": (True, [("/job/x/x@base64/_w", b"m 1\n", {})]),
    "1: a path value that is not UTF-8": (True, [("/job/x/x/%FF", b"m 1\n", {})]),
    "2: a group twice, with an empty instance": (
        False,
        [("/job/x", b"m 1\n", {}), ("/job/x/instance@base64/=", b"m 1\n", {}), ("/job/x", b"m 1\n", {})],
    ),
    "3: a HELP that is not UTF-8": (True, [("/job/x", b"# HELP m \xff\n# TYPE m gauge\nm 1\n", {})]),
    "4: a family without a name": (True, [protobuf("/job/x", gauge("a"), gauge(""), gauge("b"))]),
    "5: an own le of a histogram": (True, [protobuf("/job/x", histogram(wire.HISTOGRAM, le="2"))]),
    "6: a gauge histogram in text": (True, [("/job/x", b"# TYPE a gauge_histogram\na 1\n", {})]),
    "6: a gauge histogram": (False, [protobuf("/job/x", histogram(wire.GAUGE_HISTOGRAM))]),
    "7: a job in base64 that is none": (True, [("/job@base64/a.b", b"m 1\n", {})] * 3),
    "8: a family with an invalid name": (False, [protobuf("/job/x", gauge("bad-name x"))]),
    "9: labels that are one after escaping": (True, [protobuf("/job/x", gauge("m", **{"a-b": "1", "a_b": "2"}))]),
    "10: families that are one after escaping": (True, [protobuf("/job/x", gauge("z-z"), gauge("z_z"))]),
    "11: one bucket in two spellings": (True, [("/job/x", TWO_SPELLINGS, {})]),
    "a failure's time that is none": (
        False,
        [("/job/x", b"m 1\n", {}), ("/job/x", b"push_failure_time_seconds 5\n", {}), ("/job/x", b"m 1\n", {})],
    ),
    **{f"as well: {name}": (True, [(path, body, {})]) for name, (path, body) in BREAKERS.items()},
}
# `source` adds no labels of the path, so these say nothing wrong there.
HARMLESS_AT_SOURCE = {"as well: an le in the path", "as well: a label that is one with the path's after escaping"}

INNOCENT = '# HELP fine_total All is well.\n# TYPE fine_total counter\nfine_total{{door="{}"}} 1\n'


def innocents(server):
    """Pushes of others through all doors; the series that must then be on the page."""
    expected = {}
    for name in DOORS:
        assert send(server, name, f"/job/innocent/of/{name}", INNOCENT.format(name).encode()) == (TAKEN[name], "")
        added = {"aggregate": {}, "source": None, "replace": {"instance": ""}}[name]
        labels = {} if added is None else {"job": "innocent", "of": name} | added
        expected[series("fine_total", door=name, **labels)] = 1
    return expected


@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize("name", BROKEN)
def test_what_breaks_a_pushgateway_breaks_no_door(server, door, name):
    is_refused, pushes = BROKEN[name]
    for own in DOORS:
        assert send(server, own, "/job/x", f"own_{own} 1\n".encode())[0] == TAKEN[own]
    before = shown(server)
    for path, body, headers in pushes:
        status, answer = send(server, door, path, body, headers)
        if is_refused and not (door == "source" and name in HARMLESS_AT_SOURCE):
            assert (status, answer.count("\n")) == (400, 1)
        assert status in (TAKEN[door], 400), answer
    after = shown(server)
    assert before.items() <= after.items()
    if is_refused and not (door == "source" and name in HARMLESS_AT_SOURCE):
        assert after == before
    expected = innocents(server)
    assert shown(server).items() >= (before | expected).items()
    check_pages(server)
    # Whatever became of the group, it can be pushed to and deleted.
    assert send(server, door, "/job/x", f"own_{door} 1\n".encode())[0] == TAKEN[door]
    assert server.request("DELETE", f"/{door}/metrics/job/x")[0] == 202
    assert settle(lambda: shown(server).items() >= expected.items(), True)
    assert server.get("/-/healthy")[0] == 200 and server.get("/-/ready")[0] == 200


@pytest.mark.parametrize("door", ["aggregate", "source"])
@pytest.mark.parametrize("name", TIMES)
@pytest.mark.parametrize("kind", ["untyped", "counter", "summary"])
def test_no_door_takes_the_names_of_the_times_of_groups(server, door, name, kind):
    """Whether refused or not: `replace` must still be able to show its own."""
    send(server, door, "/job/x", f"# TYPE {name} {kind}\n{name}{'_sum' * (kind == 'summary')} 1\n".encode())
    expected = innocents(server)
    assert expected.items() <= shown(server).items()
    assert page_of(server).items() >= pushed(job="innocent", of="replace").items()
    check_pages(server)
