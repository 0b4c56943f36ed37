"""Collectors: counters, gauges, summaries and histograms that a program keeps for itself.

A collector is a family: a name, a help text, and one value for each set of labels. Labels come first in every call, as
a dict; None or {} is for none. Constant labels are on every sample of the collector; a label of the same name in a call
wins over them. All of it may be called from any thread, and stays whole in a process that is forked meanwhile.

Label names that begin with `__` are refused, and so is `job`: that is what the push, or the scrape, is called.
"""

from __future__ import annotations

import math
import numbers
import os
from bisect import bisect_left
from collections.abc import Sequence
from typing import ClassVar, Generic, Optional, TypeVar, Union

from catchment._labels import LabelKey, Labels, check_label_name, check_metric_name, freeze
from catchment._lock import LOCK
from catchment.quantiles import QuantileEstimator, Target

State = TypeVar("State")
Read = TypeVar("Read")

DEFAULT_BUCKETS: tuple[float, ...] = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10)
"""Upper bounds of a histogram's buckets where none are given; +Inf is added."""


class Collector(Generic[State, Read]):
    """What all collectors have in common."""

    REPR_STR: ClassVar[str] = "untyped"
    """The type, as the exposition formats call it."""
    RESERVED_LABELS: ClassVar[tuple[str, ...]] = ("job",)
    """Label names that belong to somebody else."""

    def __init__(self, name: str, help_text: str, const_labels: Labels = None) -> None:
        """A collector without values. Raises ValueError if the name or a constant label's name cannot be."""
        check_metric_name(name)
        self.name = name
        self.help_text = help_text
        self._const_key = freeze(const_labels)
        for label, _ in self._const_key:
            check_label_name(label, self.RESERVED_LABELS)
        self._states: dict[LabelKey, State] = {}
        self._process = os.getpid()

    @property
    def const_labels(self) -> dict[str, str]:
        """Labels that are on every sample."""
        return dict(self._const_key)

    def get(self, labels: Labels) -> Read:
        """The value of these labels. Raises KeyError if there is none yet."""
        key = self._key(labels)
        with LOCK:
            return self._read(self._states[key])

    def get_value(self, labels: Labels) -> Read:
        """The same as `get`."""
        return self.get(labels)

    def get_all(self) -> list[tuple[Optional[dict[str, str]], Read]]:
        """Every value with its labels; None for no labels. Constant labels are not repeated."""
        constant = set(self._const_key)
        found: list[tuple[Optional[dict[str, str]], Read]] = []
        for key, value in self.series():
            labels = {name: text for name, text in key if (name, text) not in constant}
            found.append((labels or None, value))
        return found

    def series(self) -> list[tuple[LabelKey, Read]]:
        """Every value with all its labels, the constant ones included, in the order of the labels."""
        with LOCK:
            found = [(key, self._read(state)) for key, state in self._states.items()]
        found.sort(key=lambda item: item[0])
        return found

    def clear(self) -> None:
        """Forgets every value."""
        with LOCK:
            self._states.clear()
            self._process = os.getpid()

    def forget_parent(self) -> None:
        """Forgets what the parent process had counted when this one was forked: that is the parent's to push. In the
        process that made the collector, or forgot before, nothing happens."""
        if self._process != os.getpid():
            self.clear()

    def _key(self, labels: Labels) -> LabelKey:
        if not labels:
            return self._const_key
        key = freeze({**dict(self._const_key), **labels} if self._const_key else labels)
        if key not in self._states:
            for label, _ in key:
                check_label_name(label, self.RESERVED_LABELS)
        return key

    def _read(self, state: State) -> Read:
        """What a reader may keep of a state. The lock is held."""
        raise NotImplementedError


class _Number(Collector[float, float]):
    """A collector with one number for each set of labels."""

    def set(self, labels: Labels, value: float) -> None:
        """Sets the value, whatever it was. Raises ValueError for bad labels, TypeError if the value is not a number."""
        key = self._key(labels)
        _check_number(value)
        with LOCK:
            self._states[key] = value

    def set_value(self, labels: Labels, value: float) -> None:
        """The same as `set`."""
        self.set(labels, value)

    def _add(self, labels: Labels, value: float) -> None:
        key = self._key(labels)
        _check_number(value)
        with LOCK:
            self._states[key] = self._states.get(key, 0) + value

    def _read(self, state: float) -> float:
        return state


class Counter(_Number):
    """A number that only grows: how much of something there has been."""

    REPR_STR = "counter"

    def inc(self, labels: Labels = None) -> None:
        """Adds one. Raises ValueError for bad labels."""
        self._add(labels, 1)

    def add(self, labels: Labels, value: float) -> None:
        """Adds `value`. Raises ValueError if it is negative or NaN, or for bad labels; TypeError if it is not a
        number."""
        _check_number(value)
        if not value >= 0:
            raise ValueError(f"expected an increment of 0 or more for counter {self.name}, got {value}")
        self._add(labels, value)


class Gauge(_Number):
    """A number that goes up and down: how much of something there is."""

    REPR_STR = "gauge"

    def inc(self, labels: Labels = None) -> None:
        """Adds one. Raises ValueError for bad labels."""
        self._add(labels, 1)

    def dec(self, labels: Labels = None) -> None:
        """Takes one away. Raises ValueError for bad labels."""
        self._add(labels, -1)

    def add(self, labels: Labels, value: float) -> None:
        """Adds `value`, which may be negative. Raises ValueError for bad labels, TypeError if it is not a number."""
        self._add(labels, value)

    def sub(self, labels: Labels, value: float) -> None:
        """Takes `value` away. Raises ValueError for bad labels, TypeError if it is not a number."""
        _check_number(value)
        self._add(labels, -value)


class Summary(Collector[QuantileEstimator, dict[Union[float, str], float]]):
    """Observations as their number, their sum, and quantiles of all of them. Prometheus cannot merge quantiles, and by
    the aggregate door they are dropped: where several processes are to be seen as one, use a Histogram."""

    REPR_STR = "summary"
    RESERVED_LABELS = ("job", "quantile")
    DEFAULT_INVARIANTS: ClassVar[Sequence[tuple[float, float]]] = ((0.50, 0.05), (0.90, 0.01), (0.99, 0.001))
    """Quantiles, each with the error of rank that it may have (0.05: five in a hundred). A subclass may have others."""
    SUM_KEY = "sum"
    COUNT_KEY = "count"

    def add(self, labels: Labels, value: float) -> None:
        """Takes one observation. Raises ValueError for bad labels, TypeError if the value is not a number."""
        key = self._key(labels)
        _check_number(value)
        with LOCK:
            estimator = self._states.get(key)
            if estimator is None:
                targets = [Target(quantile, error) for quantile, error in self.DEFAULT_INVARIANTS]
                estimator = self._states[key] = QuantileEstimator(targets)
            estimator.observe(value)

    observe = add

    def _read(self, state: QuantileEstimator) -> dict[Union[float, str], float]:
        """Quantiles by number, and under "sum" and "count" what these say."""
        read: dict[Union[float, str], float] = {
            target.quantile: state.query(target.quantile) for target in state.targets
        }
        read[self.SUM_KEY] = state.sum
        read[self.COUNT_KEY] = state.count
        return read


class _Buckets:
    """Observations by bucket, each counted in the lowest that takes it."""

    def __init__(self, buckets: int) -> None:
        self.counts = [0] * buckets
        self.sum: float = 0


class Histogram(Collector[_Buckets, dict[Union[float, str], float]]):
    """Observations counted by size in buckets, with their number and sum."""

    REPR_STR = "histogram"
    RESERVED_LABELS = ("job", "le")
    SUM_KEY = "sum"
    COUNT_KEY = "count"

    def __init__(
        self, name: str, help_text: str, const_labels: Labels = None, buckets: Optional[Sequence[float]] = None
    ) -> None:
        """A histogram without observations. `buckets` are upper bounds in rising order, in the unit of what is
        observed; +Inf is added if it is missing. Raises ValueError if they do not rise, or for a bad name."""
        super().__init__(name, help_text, const_labels)
        self.buckets = check_buckets(DEFAULT_BUCKETS if buckets is None else buckets)

    def add(self, labels: Labels, value: float) -> None:
        """Takes one observation. Raises ValueError for bad labels, TypeError if the value is not a number."""
        key = self._key(labels)
        _check_number(value)
        # NaN is in no bucket but the last.
        position = len(self.buckets) - 1 if value != value else bisect_left(self.buckets, value)
        with LOCK:
            state = self._states.get(key)
            if state is None:
                state = self._states[key] = _Buckets(len(self.buckets))
            state.counts[position] += 1
            state.sum += value

    observe = add

    def _read(self, state: _Buckets) -> dict[Union[float, str], float]:
        """By upper bound how many observations are not above it, and under "sum" and "count" what these say."""
        read: dict[Union[float, str], float] = {}
        count = 0
        for bound, here in zip(self.buckets, state.counts):
            count += here
            read[bound] = count
        read[self.SUM_KEY] = state.sum
        read[self.COUNT_KEY] = count
        return read


def check_buckets(buckets: Sequence[float]) -> tuple[float, ...]:
    """Upper bounds with +Inf at their end. Raises ValueError if there are none, or they do not rise."""
    bounds = tuple(float(bound) for bound in buckets)
    if not bounds or bounds[-1] != math.inf:
        bounds = (*bounds, math.inf)
    if len(bounds) < 2 or not all(low < high for low, high in zip(bounds, bounds[1:])):
        raise ValueError(f"expected upper bounds of buckets in rising order, got {list(buckets)}")
    return bounds


def _check_number(value: float) -> None:
    if not isinstance(value, numbers.Real):
        raise TypeError(f"expected a number, got {value!r}")
