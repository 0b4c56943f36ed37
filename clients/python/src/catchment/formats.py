"""The exposition formats: a registry as text 0.0.4, or as delimited protobuf. A format does no input and no output."""

from __future__ import annotations

import math
import time
from typing import Any, Union

from catchment._labels import LabelKey
from catchment._protobuf import Enum, Field, Message, as_text, delimited, encode
from catchment.collectors import Collector, Counter, Gauge, Histogram, Summary
from catchment.registry import Registry


class PrometheusFormat:
    """A way to write a registry."""

    def __init__(self, timestamp: bool = False) -> None:
        """With `timestamp` every sample carries the time of writing. Catchment ignores timestamps, and by the replace
        door refuses them."""
        self.timestamp = timestamp

    def get_headers(self) -> dict[str, str]:
        """The HTTP headers that name the format."""
        raise NotImplementedError

    def marshall(self, registry: Registry) -> Union[str, bytes]:
        """The whole registry. Raises TypeError if it has a collector of an unknown kind."""
        raise NotImplementedError


class TextFormat(PrometheusFormat):
    """Text 0.0.4."""

    CONTENT = "text/plain"
    VERSION = "0.0.4"

    def get_headers(self) -> dict[str, str]:
        """The HTTP headers that name the format."""
        return {"Content-Type": f"{self.CONTENT}; version={self.VERSION}; charset=utf-8"}

    def marshall(self, registry: Registry) -> str:
        """The whole registry, families by name. Raises TypeError if it has a collector of an unknown kind."""
        collectors = sorted(registry.get_all(), key=lambda collector: collector.name)
        return "".join(self.marshall_collector(collector) + "\n" for collector in collectors)

    def marshall_collector(self, collector: Collector[Any, Any]) -> str:
        """One family, without an end of line after its last. Raises TypeError if its kind is unknown."""
        return "\n".join(self.marshall_lines(collector))

    def marshall_lines(self, collector: Collector[Any, Any]) -> list[str]:
        """One family's lines: help, type, samples. Raises TypeError if its kind is unknown."""
        _check_kind(collector)
        help_text = collector.help_text.replace("\\", "\\\\").replace("\n", "\\n")
        lines = [f"# HELP {collector.name} {help_text}", f"# TYPE {collector.name} {collector.REPR_STR}"]
        for key, value in collector.series():
            lines += self._value_lines(collector, key, value)
        return lines

    def _value_lines(self, collector: Collector[Any, Any], key: LabelKey, value: Any) -> list[str]:
        """One series' lines: of a histogram or a summary there are several."""
        name = collector.name
        if isinstance(collector, (Counter, Gauge)):
            return [self._line(name, key, value)]
        is_histogram = isinstance(collector, Histogram)
        part, label = (f"{name}_bucket", "le") if is_histogram else (name, "quantile")
        lines = [self._line(part, (*key, (label, number_text(bound))), value[bound]) for bound in _bounds(value)]
        return [*lines, self._line(f"{name}_sum", key, value["sum"]), self._line(f"{name}_count", key, value["count"])]

    def _line(self, name: str, key: LabelKey, value: float) -> str:
        labels = ",".join(f'{label}="{_escape(text)}"' for label, text in key)
        end = f" {_timestamp()}" if self.timestamp else ""
        return f"{name}{{{labels}}} {number_text(value)}{end}" if labels else f"{name} {number_text(value)}{end}"


class ProtobufFormat(PrometheusFormat):
    """Messages `io.prometheus.client.MetricFamily`, each after its length."""

    CONTENT = "application/vnd.google.protobuf"
    PROTO = "io.prometheus.client.MetricFamily"
    ENCODING = "delimited"

    def get_headers(self) -> dict[str, str]:
        """The HTTP headers that name the format."""
        return {"Content-Type": f"{self.CONTENT}; proto={self.PROTO}; encoding={self.ENCODING}"}

    def marshall(self, registry: Registry) -> Union[str, bytes]:
        """The whole registry. Raises TypeError if it has a collector of an unknown kind."""
        return b"".join(delimited(self._family(collector)) for collector in registry.get_all())

    def marshall_collector(self, collector: Collector[Any, Any]) -> bytes:
        """One family's message, without its length. Raises TypeError if its kind is unknown."""
        return encode(self._family(collector))

    def _family(self, collector: Collector[Any, Any]) -> Message:
        _check_kind(collector)
        family = [
            Field(1, "name", collector.name),
            Field(2, "help", collector.help_text),
            Field(3, "type", _FAMILY_TYPES[collector.REPR_STR]),
        ]
        family += [Field(4, "metric", self._metric(collector, key, value)) for key, value in collector.series()]
        return family

    def _metric(self, collector: Collector[Any, Any], key: LabelKey, value: Any) -> Message:
        metric = [Field(1, "label", [Field(1, "name", name), Field(2, "value", text)]) for name, text in key]
        metric.append(_value_field(collector, value))
        if self.timestamp:
            metric.append(Field(6, "timestamp_ms", _timestamp()))
        return metric


class ProtobufTextFormat(ProtobufFormat):
    """The same messages as text, for people."""

    ENCODING = "text"

    def marshall(self, registry: Registry) -> str:
        """The whole registry. Raises TypeError if it has a collector of an unknown kind."""
        return "\n".join(as_text(self._family(collector)) for collector in registry.get_all())


_FAMILY_TYPES = {
    "counter": Enum(0, "COUNTER"),
    "gauge": Enum(1, "GAUGE"),
    "summary": Enum(2, "SUMMARY"),
    "histogram": Enum(4, "HISTOGRAM"),
}


def _check_kind(collector: Collector[Any, Any]) -> None:
    if not isinstance(collector, (Counter, Gauge, Summary, Histogram)):
        raise TypeError(f"expected a counter, gauge, summary or histogram, got {collector!r}")


def _value_field(collector: Collector[Any, Any], value: Any) -> Field:
    """What a metric has beside its labels."""
    if isinstance(collector, Gauge):
        return Field(2, "gauge", [Field(1, "value", float(value))])
    if isinstance(collector, Counter):
        return Field(3, "counter", [Field(1, "value", float(value))])
    message = [Field(1, "sample_count", int(value["count"])), Field(2, "sample_sum", float(value["sum"]))]
    if isinstance(collector, Summary):
        for bound in _bounds(value):
            quantile = [Field(1, "quantile", float(bound)), Field(2, "value", float(value[bound]))]
            message.append(Field(3, "quantile", quantile))
        return Field(4, "summary", message)
    for bound in _bounds(value):
        bucket = [Field(1, "cumulative_count", int(value[bound])), Field(2, "upper_bound", float(bound))]
        message.append(Field(3, "bucket", bucket))
    return Field(7, "histogram", message)


def _bounds(value: dict[Union[float, str], float]) -> list[float]:
    """The upper bounds of a histogram, or the quantiles of a summary."""
    return [bound for bound in value if not isinstance(bound, str)]


def number_text(value: float) -> str:
    """A number as the text format writes it; whole ones without a point."""
    number = float(value)
    if math.isnan(number):
        return "NaN"
    if math.isinf(number):
        return "+Inf" if number > 0 else "-Inf"
    return str(int(number)) if number == int(number) and abs(number) < 1e15 else repr(number)


def _escape(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def _timestamp() -> int:
    """Now, in milliseconds since 1970."""
    return int(time.time() * 1000)
