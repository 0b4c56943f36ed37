"""The official Python parsers, text and OpenMetrics, read Catchment's pages after pushes of either format."""

import pytest
from prometheus_client import CollectorRegistry, Counter, Enum, Gauge, Histogram, Info, Summary, push_to_gateway
from prometheus_client.core import GaugeHistogramMetricFamily, StateSetMetricFamily, UnknownMetricFamily
from prometheus_client.openmetrics import exposition
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text

JOB = "nightly"
PATH = f"/metrics/job/{JOB}"
PUSHES = 2

# Samples that pushes add up; all others stay what the last push said.
ADDED = ("_total", "_bucket", "_sum", "_count", "_gsum", "_gcount")


class Others:
    """Kinds that the client has no class for."""

    def collect(self):
        queue = GaugeHistogramMetricFamily("queue_seconds", "Ages in the queue.", unit="seconds")
        queue.add_metric([], [("0.5", 4), ("+Inf", 6)], 7.5)
        yield queue
        yield UnknownMetricFamily("odd", "Nobody knows.", value=3)
        yield StateSetMetricFamily("feature", 'Help with "quotes", \\ and\na second line.', {"a": True, "b": False})


def registry():
    """Every kind of metric, with all that OpenMetrics can say of it."""
    registry = CollectorRegistry()
    rows = Counter("rows", "Rows done.", ["table"], registry=registry)
    rows.labels('odd "name"\\\n').inc(2.5, {"trace_id": "abc"})
    rows.labels("users").inc(3)
    Gauge("queue_bytes", "Waiting.", unit="bytes", registry=registry).set(-1.5)
    step = Histogram("step_seconds", "A step.", ["step"], buckets=(0.5, 1, 10), registry=registry, unit="seconds")
    for value, trace in ((0.25, "x"), (7, "y"), (20, "z")):
        step.labels("copy").observe(value, {"trace_id": trace})
    Summary("size", "Sizes.", registry=registry).observe(100)
    Info("build", "What runs.", registry=registry).info({"version": "1.2"})
    Enum("phase", "Where it is.", states=["load", "done"], registry=registry).state("done")
    registry.register(Others())
    return registry


def found(families):
    """Type, help and unit of each family, and each sample by name and labels: value, exemplar."""
    families = list(families)
    heads = {family.name: (family.type, family.documentation, family.unit) for family in families}
    assert len(heads) == len(families), "a family is on the page twice"
    samples = {}
    for family in families:
        for sample in family.samples:
            key = sample.name, tuple(sorted(sample.labels.items()))
            assert key not in samples, f"{key} is on the page twice"
            samples[key] = sample.value, sample.exemplar
    return heads, samples


def page(server, accept):
    status, headers, body = server.request("GET", "/metrics", headers={"Accept": accept})
    assert (status, headers.get_content_type()) == (200, accept.split(";")[0])
    return body.decode()


def expected(pushed):
    """What the page must show after the pushes, by the parser's own reading of one."""
    heads, samples = found(parse_openmetrics(pushed))
    merged = {}
    for (name, labels), (value, exemplar) in samples.items():
        of_gauge = any(name == family and head[0] == "gauge" for family, head in heads.items())
        is_added = name.endswith(ADDED) and not of_gauge or heads.get(name, ("",))[0] == "unknown"
        key = name, tuple(sorted((*labels, ("job", JOB))))
        merged[key] = value * PUSHES if is_added else value, exemplar
    return heads, merged


@pytest.fixture
def pushed(server):
    """What was pushed in OpenMetrics, twice."""
    text = exposition.generate_latest(registry()).decode()
    headers = {"Content-Type": exposition.CONTENT_TYPE_LATEST}
    for _ in range(PUSHES):
        status, _, answer = server.request("POST", PATH, text.encode(), headers)
        assert (status, answer) == (202, b"")
    return text


def test_the_openmetrics_parser_reads_all_that_was_pushed_in_openmetrics(server, pushed):
    heads, samples = found(parse_openmetrics(page(server, exposition.CONTENT_TYPE_LATEST)))
    expected_heads, expected_samples = expected(pushed)
    assert heads == expected_heads
    assert samples == expected_samples


def test_the_text_parser_reads_what_text_can_say_of_it(server, pushed):
    heads, samples = found(parse_text(page(server, "text/plain; version=0.0.4")))
    _, expected_samples = expected(pushed)
    in_text = {"_gsum": "_sum", "_gcount": "_count"}
    for (name, labels), (value, _) in expected_samples.items():
        if name.endswith("_created"):
            continue
        for suffix, shown in in_text.items():
            name = name.removesuffix(suffix) + shown if name.endswith(suffix) else name
        labels = tuple((label, text.removesuffix(".0") if label == "le" else text) for label, text in labels)
        assert samples.pop((name, labels))[0] == value, name
    assert samples == {}
    kinds = {name: head[0] for name, head in heads.items()}
    assert kinds == {
        "build_info": "gauge",
        "feature": "gauge",
        "odd": "unknown",
        "phase": "gauge",
        "queue_bytes": "gauge",
        "queue_seconds": "histogram",
        "rows": "counter",
        "size": "summary",
        "step_seconds": "histogram",
    }
    assert heads["feature"][1] == 'Help with "quotes", \\ and\na second line.'


def test_both_parsers_read_what_was_pushed_in_text(server):
    for _ in range(PUSHES):
        push_to_gateway(server.url, job=JOB, registry=registry())
    _, text = found(parse_text(page(server, "text/plain; version=0.0.4")))
    _, openmetrics = found(parse_openmetrics(page(server, exposition.CONTENT_TYPE_LATEST)))
    rows = ("rows_total", (("job", JOB), ("table", "users")))
    assert text[rows][0] == 3 * PUSHES

    # The client sends `_created` in text as gauges of their own; in OpenMetrics these names belong to others.
    def canonical(samples):
        return {
            (name, tuple((label, text.removesuffix(".0") if label == "le" else text) for label, text in labels)): value
            for (name, labels), (value, _) in samples.items()
            if not name.endswith("_created")
        }

    assert canonical(openmetrics) == canonical(text)
    assert len(canonical(text)) > 15
