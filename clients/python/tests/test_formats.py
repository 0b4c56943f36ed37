"""The formats, read by others: the official parser, protobuf's own library, a running Catchment."""

from __future__ import annotations

import math
from typing import Any

import pytest
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.internal.decoder import _DecodeVarint
from google.protobuf.text_format import Parse
from harness import Server, samples, series

from catchment.collectors import Collector, Counter, Gauge, Histogram, Summary
from catchment.formats import PrometheusFormat, ProtobufFormat, ProtobufTextFormat, TextFormat, number_text
from catchment.push import push
from catchment.registry import Registry

NASTY = 'a"b\\c\nd\tä€ '


def full_registry() -> Registry:
    registry = Registry()
    counter = registry.register(Counter("uploads_total", 'Uploads, "quoted", \\ and\nin two lines.', {"host": "web1"}))
    counter.add({"type": "png"}, 3)
    counter.add({"type": NASTY}, 0.1)
    gauge = registry.register(Gauge("temperature", "°C"))
    gauge.set(None, -2.5)
    summary = registry.register(Summary("size_bytes", "Sizes."))
    histogram = registry.register(Histogram("seconds", "Times.", {"host": "web1"}, buckets=[0.1, 1]))
    for value in (0.05, 0.5, 5):
        summary.observe({"a": "b"}, value)
        histogram.observe({"a": "b"}, value)
    registry.register(Counter("nothing_yet_total", "Nothing."))
    return registry


EXPECTED = {
    series("uploads_total", host="web1", type="png"): 3,
    series("uploads_total", host="web1", type=NASTY): 0.1,
    series("temperature"): -2.5,
    series("size_bytes", a="b", quantile="0.5"): 0.5,
    series("size_bytes", a="b", quantile="0.9"): 5,
    series("size_bytes", a="b", quantile="0.99"): 5,
    series("size_bytes_sum", a="b"): 5.55,
    series("size_bytes_count", a="b"): 3,
    series("seconds_bucket", a="b", host="web1", le="0.1"): 1,
    series("seconds_bucket", a="b", host="web1", le="1"): 2,
    series("seconds_bucket", a="b", host="web1", le="+Inf"): 3,
    series("seconds_sum", a="b", host="web1"): 5.55,
    series("seconds_count", a="b", host="web1"): 3,
}


def test_text_is_what_the_official_parser_reads() -> None:
    assert samples(TextFormat().marshall(full_registry())) == EXPECTED


def test_text_is_these_bytes() -> None:
    registry = Registry()
    counter = registry.register(Counter("b_total", "B\\\nb.", {"host": "h"}))
    counter.add({"type": 'x"y'}, 3.0)
    registry.register(Gauge("a", "A.")).set(None, math.nan)
    assert TextFormat().marshall(registry) == (
        "# HELP a A.\n# TYPE a gauge\na NaN\n"
        '# HELP b_total B\\\\\\nb.\n# TYPE b_total counter\nb_total{host="h",type="x\\"y"} 3\n'
    )
    assert TextFormat().get_headers() == {"Content-Type": "text/plain; version=0.0.4; charset=utf-8"}


@pytest.mark.parametrize(
    ("number", "text"),
    [(1, "1"), (1.0, "1"), (-0.0, "0"), (0.1, "0.1"), (1e300, "1e+300"), (math.inf, "+Inf"), (-math.inf, "-Inf")],
)
def test_numbers_as_text(number: float, text: str) -> None:
    assert number_text(number) == text
    assert float(text) == number


def test_timestamps_are_written_where_they_are_asked_for() -> None:
    registry = Registry()
    registry.register(Gauge("g", "")).set(None, 1)
    assert TextFormat(timestamp=True).marshall(registry).splitlines()[-1].split(" ")[2].isdigit()
    found = decode(ProtobufFormat(timestamp=True).marshall(registry))
    assert found[0].metric[0].timestamp_ms > 1_600_000_000_000


def metric_family() -> Any:
    """The class of the message, made from its public schema."""
    double, uint64, int64, text = "TYPE_DOUBLE", "TYPE_UINT64", "TYPE_INT64", "TYPE_STRING"
    messages: dict[str, list[tuple[int, str, str]]] = {
        "LabelPair": [(1, "name", text), (2, "value", text)],
        "Gauge": [(1, "value", double)],
        "Counter": [(1, "value", double)],
        "Quantile": [(1, "quantile", double), (2, "value", double)],
        "Summary": [(1, "sample_count", uint64), (2, "sample_sum", double), (3, "quantile", "*Quantile")],
        "Bucket": [(1, "cumulative_count", uint64), (2, "upper_bound", double)],
        "Histogram": [(1, "sample_count", uint64), (2, "sample_sum", double), (3, "bucket", "*Bucket")],
        "Metric": [
            (1, "label", "*LabelPair"),
            (2, "gauge", "Gauge"),
            (3, "counter", "Counter"),
            (4, "summary", "Summary"),
            (6, "timestamp_ms", int64),
            (7, "histogram", "Histogram"),
        ],
        "MetricFamily": [(1, "name", text), (2, "help", text), (3, "type", "MetricType"), (4, "metric", "*Metric")],
    }
    file = descriptor_pb2.FileDescriptorProto(name="metrics.proto", package="io.prometheus.client", syntax="proto2")
    kinds = file.enum_type.add(name="MetricType")
    for number, name in enumerate(["COUNTER", "GAUGE", "SUMMARY", "UNTYPED", "HISTOGRAM"]):
        kinds.value.add(name=name, number=number)
    for message_name, fields in messages.items():
        message = file.message_type.add(name=message_name)
        for number, name, kind in fields:
            added = message.field.add(name=name, number=number)
            added.label = 3 if kind.startswith("*") else 1
            if kind.startswith("TYPE_"):
                added.type = descriptor_pb2.FieldDescriptorProto.Type.Value(kind)
            else:
                added.type_name = f".io.prometheus.client.{kind.lstrip('*')}"
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("io.prometheus.client.MetricFamily"))


def decode(page: Any) -> list[Any]:
    family_class, found, position = metric_family(), [], 0
    while position < len(page):
        length, position = _DecodeVarint(page, position)
        found.append(family_class.FromString(page[position : position + length]))
        position += length
    return found


def test_protobuf_is_what_its_own_library_reads() -> None:
    found = {family.name: family for family in decode(ProtobufFormat().marshall(full_registry()))}
    assert [found[name].type for name in ("uploads_total", "temperature", "size_bytes", "seconds")] == [0, 1, 2, 4]
    uploads = found["uploads_total"]
    assert uploads.help == 'Uploads, "quoted", \\ and\nin two lines.'
    labels = [{label.name: label.value for label in metric.label} for metric in uploads.metric]
    assert labels == [{"host": "web1", "type": NASTY}, {"host": "web1", "type": "png"}]
    assert [metric.counter.value for metric in uploads.metric] == [0.1, 3]
    assert found["temperature"].metric[0].gauge.value == -2.5
    summary = found["size_bytes"].metric[0].summary
    assert (summary.sample_count, summary.sample_sum) == (3, 5.55)
    assert [(part.quantile, part.value) for part in summary.quantile] == [(0.5, 0.5), (0.9, 5), (0.99, 5)]
    histogram = found["seconds"].metric[0].histogram
    assert (histogram.sample_count, histogram.sample_sum) == (3, 5.55)
    buckets = [(part.upper_bound, part.cumulative_count) for part in histogram.bucket]
    assert buckets == [(0.1, 1), (1, 2), (math.inf, 3)]


def test_protobuf_for_people_is_protobufs_text_format() -> None:
    registry = full_registry()
    blocks = ProtobufTextFormat().marshall(registry).split("\n\n")
    read = [Parse(block, metric_family()()) for block in blocks]
    assert [str(family) for family in read] == [str(family) for family in decode(ProtobufFormat().marshall(registry))]


@pytest.mark.parametrize("format", [TextFormat(), ProtobufFormat()])
def test_catchment_shows_what_was_pushed_in_either_format(server: Server, format: PrometheusFormat) -> None:
    push(server.url, full_registry(), {"job": "j"}, door="source", format=format)
    shown = {key: value for key, value in EXPECTED.items() if not any(name == "quantile" for name, _ in key[1])}
    assert server.samples() == shown


def test_a_collector_of_no_known_kind_is_refused() -> None:
    registry = Registry()
    registry.register(Collector[Any, Any]("c", ""))
    for format in (TextFormat(), ProtobufFormat(), ProtobufTextFormat()):
        with pytest.raises(TypeError, match="expected a counter"):
            format.marshall(registry)
