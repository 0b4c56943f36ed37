"""Collectors: what they count, what they refuse."""

from __future__ import annotations

import math
import random
import threading
from typing import Any, Union

import pytest

from catchment.collectors import Collector, Counter, Gauge, Histogram, Summary
from catchment.quantiles import QuantileEstimator, Target
from catchment.registry import Registry

AnyCollector = Collector[Any, Any]


def test_a_counter_adds_up_by_labels() -> None:
    counter = Counter("uploads_total", "Uploads.")
    counter.inc({"type": "png"})
    counter.inc({"type": "png"})
    counter.add({"type": "jpg"}, 2.5)
    counter.inc(None)
    counter.add({}, 4)
    assert counter.get({"type": "png"}) == 2
    assert counter.get({"type": "jpg"}) == 2.5
    assert counter.get(None) == 5
    assert counter.get_all() == [(None, 5), ({"type": "jpg"}, 2.5), ({"type": "png"}, 2)]
    counter.set({"type": "png"}, 7)
    assert counter.get({"type": "png"}) == 7


def test_a_gauge_goes_up_and_down() -> None:
    gauge = Gauge("queue", "Waiting.")
    gauge.set({"q": "a"}, 10)
    gauge.inc({"q": "a"})
    gauge.dec({"q": "b"})
    gauge.add({"q": "a"}, -3)
    gauge.sub({"q": "a"}, 0.5)
    assert gauge.get({"q": "a"}) == 7.5
    assert gauge.get({"q": "b"}) == -1


def test_the_order_and_the_kind_of_labels_do_not_matter() -> None:
    counter = Counter("c", "")
    counter.inc({"a": 1, "b": "x"})
    counter.inc({"b": "x", "a": "1"})
    assert counter.get_all() == [({"a": "1", "b": "x"}, 2)]


def test_labels_are_copied() -> None:
    counter, labels = Counter("c", ""), {"a": "1"}
    counter.inc(labels)
    labels["a"] = "2"
    assert counter.get({"a": "1"}) == 1


def test_const_labels_are_on_every_sample_and_yield_to_own_ones() -> None:
    gauge = Gauge("memory_bytes", "", {"host": "web1", "unit": "b"})
    gauge.set({"type": "virtual"}, 1)
    gauge.set({"host": "web2"}, 2)
    gauge.set(None, 3)
    assert gauge.const_labels == {"host": "web1", "unit": "b"}
    assert dict(gauge.series()) == {
        (("host", "web1"), ("type", "virtual"), ("unit", "b")): 1,
        (("host", "web2"), ("unit", "b")): 2,
        (("host", "web1"), ("unit", "b")): 3,
    }
    assert (None, 3) in gauge.get_all()
    assert ({"type": "virtual"}, 1) in gauge.get_all()
    # However it is told, it is one series.
    gauge.inc({"host": "web1"})
    assert gauge.get(None) == 4


@pytest.mark.parametrize("name", ["", "1a", "a-b", "a b", "a\n", "ä"])
def test_bad_metric_names_are_refused(name: str) -> None:
    with pytest.raises(ValueError, match="expected a metric name"):
        Counter(name, "")


@pytest.mark.parametrize("label", ["job", "__name__", "__x", "a-b", "a:b", ""])
def test_bad_labels_are_refused_and_leave_nothing(label: str) -> None:
    with pytest.raises(ValueError, match="expected a label"):
        Counter("c", "", {label: "x"})
    counter = Counter("c", "")
    with pytest.raises(ValueError, match="expected a label"):
        counter.inc({label: "x"})
    assert counter.get_all() == []


def test_labels_of_buckets_and_quantiles_are_reserved() -> None:
    with pytest.raises(ValueError, match="reserved"):
        Histogram("h", "").observe({"le": "1"}, 1)
    with pytest.raises(ValueError, match="reserved"):
        Summary("s", "", {"quantile": "1"})


@pytest.mark.parametrize("value", [-1, -0.5, math.nan, -math.inf])
def test_a_counter_never_falls(value: float) -> None:
    counter = Counter("c", "")
    with pytest.raises(ValueError, match="0 or more"):
        counter.add(None, value)
    with pytest.raises(KeyError):
        counter.get(None)


@pytest.mark.parametrize("collector", [Counter("c", ""), Gauge("g", ""), Summary("s", ""), Histogram("h", "")])
@pytest.mark.parametrize("value", ["3", None, [1]])
def test_only_numbers_are_counted(collector: Union[Counter, Gauge, Summary, Histogram], value: Any) -> None:
    with pytest.raises(TypeError, match="expected a number"):
        collector.add(None, value)
    assert collector.get_all() == []


def test_a_summary_has_quantiles_sum_and_count() -> None:
    summary = Summary("s", "", {"time": "ms"})
    for value in [3, 5.2, 13, 4]:
        summary.add({"time": "/static"}, value)
    assert summary.get({"time": "/static"}) == {0.5: 4, 0.9: 13, 0.99: 13, "sum": 25.2, "count": 4}


def test_a_histogram_counts_each_observation_in_the_lowest_bucket_that_takes_it() -> None:
    histogram = Histogram("h", "", buckets=[1, 2.5])
    for value in [0.5, 1, 1.5, 2.5, 3, math.inf]:
        histogram.observe(None, value)
    assert histogram.get(None) == {1: 2, 2.5: 4, math.inf: 6, "sum": math.inf, "count": 6}
    histogram.clear()
    histogram.add(None, math.nan)
    read = histogram.get(None)
    assert (read[2.5], read[math.inf], read["count"]) == (0, 1, 1)


@pytest.mark.parametrize("buckets", [[], [math.inf], [2, 1], [1, 1], [1, math.nan]])
def test_buckets_rise(buckets: list[float]) -> None:
    with pytest.raises(ValueError, match="rising order"):
        Histogram("h", "", buckets=buckets)


def test_nothing_is_lost_between_threads() -> None:
    counter, histogram = Counter("c", ""), Histogram("h", "")

    def work() -> None:
        for number in range(5_000):
            counter.inc({"n": number % 3})
            histogram.observe(None, number)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(value for _, value in counter.get_all()) == 20_000
    assert histogram.get(None)["count"] == 20_000


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("shape", ["random", "rising", "falling", "same", "skewed"])
def test_quantiles_are_within_their_error_of_rank(shape: str, seed: int) -> None:
    source = random.Random(seed)
    count = source.choice([1, 2, 7, 499, 500, 501, 5_000, 20_000])
    values = {
        "random": [source.random() for _ in range(count)],
        "rising": [float(n) for n in range(count)],
        "falling": [float(-n) for n in range(count)],
        "same": [1.0] * count,
        "skewed": [source.expovariate(1) ** 4 for _ in range(count)],
    }[shape]
    targets = [Target(0.01, 0.001), Target(0.5, 0.05), Target(0.9, 0.01), Target(0.99, 0.001)]
    estimator = QuantileEstimator(targets)
    for value in values:
        estimator.observe(value)
    assert estimator.count == count
    assert estimator.sum == pytest.approx(sum(values))
    ordered = sorted(values)
    for target in targets:
        answer = estimator.query(target.quantile)
        lowest = sum(value < answer for value in ordered)
        highest = lowest + ordered.count(answer)
        wanted = target.quantile * count
        error = 1.1 * target.error * count + 1
        assert lowest - error <= wanted <= highest + error, target


def test_an_estimator_keeps_far_less_than_it_was_given() -> None:
    estimator = QuantileEstimator([Target(0.5, 0.05), Target(0.99, 0.001)])
    source = random.Random(1)
    for _ in range(50_000):
        estimator.observe(source.random())
    estimator.query(0.5)
    assert len(estimator._kept) < 1_000
    assert math.isnan(QuantileEstimator([Target(0.5, 0.05)]).query(0.5))


def test_a_registry_keeps_collectors_by_name() -> None:
    registry = Registry()
    counter: Counter = registry.register(Counter("c", ""))
    gauge = registry.register(Gauge("g", ""))
    assert registry.get("c") is counter
    assert registry.get_all() == [counter, gauge]
    with pytest.raises(ValueError, match="a second 'c'"):
        registry.register(Gauge("c", ""))
    with pytest.raises(TypeError, match="expected a collector"):
        registry.register("c")  # type: ignore[type-var]
    registry.deregister("c")
    assert registry.get_all() == [gauge]
    for missing in (registry.get, registry.deregister):
        with pytest.raises(KeyError):
            missing("c")
