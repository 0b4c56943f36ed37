"""What a client has recorded since it last sent, combined to as little as says the same.

Increments of a counter are summed. Of a gauge the last `set` stays, with what came after it added, so it matters to
nobody in which order the requests of a batch arrive. Observations of summaries and histograms go as they are.
"""

from __future__ import annotations

import math
import numbers
from collections.abc import Iterator
from typing import Any, Optional, Union

from catchment._labels import LabelKey

MOST_BITS = 1000
"""Whole numbers beyond are no floats."""

COUNTER, GAUGE_INC, GAUGE_DEC, GAUGE_SET = "counter", "gauge/inc", "gauge/dec", "gauge/set"
SUMMARY, HISTOGRAM = "summary", "histogram"

# kind, name, value, labels, description, buckets
Record = tuple[str, str, float, tuple[tuple[object, object], ...], Optional[str], Optional[tuple[float, ...]]]

Object = dict[str, Any]
"""An observation as the server reads it in JSON."""


class Entry:
    """One series' part of a batch, or one observation."""

    __slots__ = ("buckets", "description", "is_set", "labels", "name", "records", "value")

    def __init__(self, name: str, labels: LabelKey, description: Optional[str]) -> None:
        self.name = name
        self.labels = labels
        self.description = description
        self.value: float = 0
        self.is_set = False
        self.buckets: Optional[tuple[float, ...]] = None
        self.records = 0
        """How many calls of the program it stands for."""

    def as_object(self, kind: str) -> Object:
        """What the server is told by a request of this kind."""
        value = -self.value if kind == GAUGE_DEC else self.value
        found: Object = {"name": self.name, "value": _json_number(value)}
        if self.labels:
            found["labels"] = dict(self.labels)
        if self.description is not None:
            found["description"] = self.description
        if self.buckets is not None:
            found["buckets"] = [_json_number(bound) for bound in self.buckets]
        return found


class Batch:
    """Records, combined as they come."""

    def __init__(self) -> None:
        self._counters: dict[tuple[str, LabelKey], Entry] = {}
        self._gauges: dict[tuple[str, LabelKey], Entry] = {}
        self._observations: dict[str, list[Entry]] = {SUMMARY: [], HISTOGRAM: []}

    def add(self, record: Record) -> None:
        """Takes a record. Raises TypeError or ValueError if it is one that the server would refuse."""
        kind, name, value, raw_labels, description, raw_buckets = record
        _check(kind, name, value)
        if description is not None and not isinstance(description, str):
            raise TypeError(f"expected text to describe {name}, got {description!r}")
        buckets = None if raw_buckets is None else tuple(float(bound) for bound in raw_buckets)
        labels = tuple(sorted((str(label), str(text)) for label, text in raw_labels)) if raw_labels else ()
        if kind in self._observations:
            entry = Entry(name, labels, description)
            entry.value = value
            entry.buckets = buckets
            entry.records = 1
            self._observations[kind].append(entry)
            return
        entries = self._counters if kind == COUNTER else self._gauges
        found = entries.get((name, labels))
        if found is None:
            found = entries[name, labels] = Entry(name, labels, description)
        elif found.description is None:
            found.description = description
        _combine(found, kind, value)

    def requests(self) -> Iterator[tuple[str, list[Entry]]]:
        """The entries by kind, which is the end of the path they go to."""
        changes = [entry for entry in self._gauges.values() if not entry.is_set]
        by_kind = {
            COUNTER: list(self._counters.values()),
            GAUGE_SET: [entry for entry in self._gauges.values() if entry.is_set],
            GAUGE_INC: [entry for entry in changes if entry.value >= 0],
            GAUGE_DEC: [entry for entry in changes if entry.value < 0],
            **self._observations,
        }
        return ((kind, entries) for kind, entries in by_kind.items() if entries)


def _combine(entry: Entry, kind: str, value: float) -> None:
    entry.records += 1
    if kind == GAUGE_SET:
        entry.value = value
        entry.is_set = True
    elif kind == GAUGE_DEC:
        entry.value -= value
    else:
        entry.value += value


def _check(kind: str, name: object, value: object) -> None:
    if not isinstance(name, str) or not name:
        raise TypeError(f"expected a metric name, got {name!r}")
    if type(value) is int and value.bit_length() <= MOST_BITS:
        if kind == COUNTER and value < 0:
            raise ValueError(f"expected an increment of 0 or more for counter {name}, got {value}")
        return
    if not isinstance(value, numbers.Real):
        raise TypeError(f"expected a number for {name}, got {value!r}")
    float(value)
    if kind in (GAUGE_SET, SUMMARY, HISTOGRAM):
        return
    if not math.isfinite(value):
        raise ValueError(f"expected a finite number to change {name} by, got {value}")
    if kind == COUNTER and value < 0:
        raise ValueError(f"expected an increment of 0 or more for counter {name}, got {value}")


def _json_number(value: float) -> Union[float, str]:
    """A number as JSON has it; what it has not, as a string."""
    if type(value) is int:
        return value
    number = float(value)
    if math.isfinite(number):
        return number
    return "NaN" if math.isnan(number) else "+Inf" if number > 0 else "-Inf"
