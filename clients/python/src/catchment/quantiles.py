"""Quantiles of a stream, with a bounded error of rank and without keeping every value (Cormode, Korn, Muthukrishnan and
Srivastava, "Effective Computation of Biased Quantiles over Data Streams")."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

BUFFERED_VALUES = 500


@dataclass(frozen=True)
class Target:
    """A quantile that will be asked for."""

    quantile: float
    """Between 0 and 1."""
    error: float
    """How far the rank of the answer may be off, as a share of all values."""


@dataclass
class _Kept:
    value: float
    width: float
    """Ranks between the kept value before and this one."""
    slack: float
    """How uncertain the rank is, above its least."""


class QuantileEstimator:
    """Takes values one by one and tells quantiles of all of them. It has no lock: its owner has one."""

    def __init__(self, targets: Sequence[Target]) -> None:
        """An estimator that is exact enough for each of `targets`."""
        self.targets = tuple(targets)
        self.count = 0
        self.sum: float = 0
        self._kept: list[_Kept] = []
        self._buffer: list[float] = []

    def observe(self, value: float) -> None:
        """Takes one value."""
        self.count += 1
        self.sum += value
        self._buffer.append(value)
        if len(self._buffer) >= BUFFERED_VALUES:
            self._take_buffer()

    def query(self, quantile: float) -> float:
        """The value whose rank is about `quantile`; NaN if there is none."""
        self._take_buffer()
        if not self._kept:
            return math.nan
        wanted = float(math.ceil(quantile * self.count))
        wanted += self._allowed_error(wanted, self.count) / 2
        rank = 0.0
        before = self._kept[0]
        for kept in self._kept:
            if rank + kept.width + kept.slack > wanted:
                return before.value
            rank += kept.width
            before = kept
        return before.value

    def _allowed_error(self, rank: float, count: float) -> float:
        """How far ranks around this one may be off so that every target is met."""
        allowed = float(count)
        for target in self.targets:
            if rank >= target.quantile * count:
                error = 2 * target.error * rank / target.quantile if target.quantile > 0 else math.inf
            else:
                error = 2 * target.error * (count - rank) / (1 - target.quantile)
            allowed = min(allowed, error)
        return allowed

    def _take_buffer(self) -> None:
        if self._buffer:
            self._merge(sorted(self._buffer))
            self._buffer = []
            self._compress()

    def _merge(self, values: Sequence[float]) -> None:
        old, rank, position = self._kept, 0.0, 0
        merged: list[_Kept] = []
        total = sum(kept.width for kept in old)
        for value in values:
            while position < len(old) and old[position].value <= value:
                rank += old[position].width
                merged.append(old[position])
                position += 1
            is_at_an_end = not merged or position == len(old)
            slack = 0.0 if is_at_an_end else max(0.0, math.floor(self._allowed_error(rank, total)) - 1)
            merged.append(_Kept(value, 1, slack))
            rank += 1
            total += 1
        self._kept = merged + old[position:]

    def _compress(self) -> None:
        if len(self._kept) < 3:
            return
        ranks: list[float] = []
        rank = 0.0
        for kept in self._kept:
            ranks.append(rank)
            rank += kept.width
        compressed = [self._kept[-1]]
        # From the end; the first value stays, so that the least is known exactly.
        for index in range(len(self._kept) - 2, 0, -1):
            kept, after = self._kept[index], compressed[-1]
            width = kept.width + after.width + after.slack
            # The error allowed changes within the width, and has to be kept at either end.
            lower, upper = ranks[index], min(rank, ranks[index] + width)
            if width <= min(self._allowed_error(lower, rank), self._allowed_error(upper, rank)):
                after.width += kept.width
            else:
                compressed.append(kept)
        compressed.append(self._kept[0])
        compressed.reverse()
        self._kept = compressed
