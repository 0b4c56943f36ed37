"""Pushes with the official Python client, as batch jobs do it."""

import pytest
from prometheus_client import (
    CollectorRegistry,
    Counter,
    Enum,
    Gauge,
    Histogram,
    Info,
    Summary,
    generate_latest,
    push_to_gateway,
    pushadd_to_gateway,
)

from harness import samples, series, types

GROUPING_KEY = {"path": "/srv/a/b", "title": "two words", "mixed": "a/b c", "plain": "x+y", "instance": ""}
# A label with an empty value is no label.
GROUP = {"job": "nightly/batch", "path": "/srv/a/b", "title": "two words", "mixed": "a/b c", "plain": "x+y"}

METHODS = pytest.mark.parametrize("push", [push_to_gateway, pushadd_to_gateway], ids=["PUT", "POST"])


def work_of_a_job():
    registry = CollectorRegistry()
    rows = Counter("rows", "Rows done.", ["table"], registry=registry)
    rows.labels("users").inc(3)
    rows.labels('odd "name"\\\n').inc(2.5)
    Gauge("last_success_seconds", "When it went well.", registry=registry).set(1700000000.25)
    duration = Histogram("duration_seconds", "Time a step took.", ["step"], buckets=(0.5, 1, 10), registry=registry)
    for seconds in (0.25, 0.5, 7, 20):
        duration.labels("copy").observe(seconds)
    size = Summary("size_bytes", "Sizes seen.", registry=registry)
    size.observe(100)
    size.observe(50)
    return registry


@METHODS
def test_every_type_is_merged_and_labelled_by_the_grouping_key(server, push):
    registry = work_of_a_job()
    for _ in range(2):
        push(server.url, job="nightly/batch", registry=registry, grouping_key=GROUPING_KEY)

    expected = {
        series("rows_total", table="users", **GROUP): 6,
        series("rows_total", table='odd "name"\\\n', **GROUP): 5,
        series("last_success_seconds", **GROUP): 1700000000.25,
        series("duration_seconds_bucket", step="copy", le="0.5", **GROUP): 4,
        series("duration_seconds_bucket", step="copy", le="1", **GROUP): 4,
        series("duration_seconds_bucket", step="copy", le="10", **GROUP): 6,
        series("duration_seconds_bucket", step="copy", le="+Inf", **GROUP): 8,
        series("duration_seconds_sum", step="copy", **GROUP): 55.5,
        series("duration_seconds_count", step="copy", **GROUP): 8,
        series("size_bytes_sum", **GROUP): 300,
        series("size_bytes_count", **GROUP): 4,
    }
    # The client also sends when its counters, histograms and summaries began: gauges, of which the last is shown.
    sent = samples(generate_latest(registry).decode())
    created = {
        series(name, **dict(labels), **GROUP): value
        for (name, labels), value in sent.items()
        if name.endswith("_created")
    }
    assert len(created) == 4
    page = server.page()
    assert samples(page) == expected | created
    assert types(page) == {
        "rows_total": "counter",
        "rows_created": "gauge",
        "last_success_seconds": "gauge",
        "duration_seconds": "histogram",
        "duration_seconds_created": "gauge",
        "size_bytes": "summary",
        "size_bytes_created": "gauge",
    }
    assert "# HELP duration_seconds Time a step took.\n" in page


@METHODS
def test_the_last_gauge_wins(server, push):
    for value in (5, 3):
        registry = CollectorRegistry()
        Gauge("queue_length", "Waiting.", registry=registry).set(value)
        Info("build", "What runs.", registry=registry).info({"version": "1.2"})
        Enum("phase", "Where it is.", states=["load", "done"], registry=registry).state("done")
        push(server.url, job="worker", registry=registry)

    assert samples(server.page()) == {
        series("queue_length", job="worker"): 3,
        series("build_info", job="worker", version="1.2"): 1,
        series("phase", job="worker", phase="load"): 0,
        series("phase", job="worker", phase="done"): 1,
    }


def test_jobs_with_different_grouping_keys_stay_apart(server):
    for instance in ("a", "b"):
        push_to_gateway(server.address, job="x", registry=work_of_a_job(), grouping_key={"instance": instance})

    page = samples(server.page())
    for instance in ("a", "b"):
        assert page[series("rows_total", table="users", job="x", instance=instance)] == 3
