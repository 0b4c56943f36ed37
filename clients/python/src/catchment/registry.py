"""The registry: which collectors a program shows or pushes."""

from __future__ import annotations

from typing import Any, TypeVar

from catchment._lock import LOCK
from catchment.collectors import Collector

C = TypeVar("C", bound=Collector[Any, Any])


class Registry:
    """Collectors by name. All of it may be called from any thread."""

    def __init__(self) -> None:
        """A registry without collectors."""
        self._collectors: dict[str, Collector[Any, Any]] = {}

    def register(self, collector: C) -> C:
        """Adds a collector, and returns it. Raises TypeError if it is none, ValueError if its name is taken."""
        if not isinstance(collector, Collector):
            raise TypeError(f"expected a collector, got {collector!r}")
        with LOCK:
            if collector.name in self._collectors:
                raise ValueError(f"expected a collector with a name of its own, got a second {collector.name!r}")
            self._collectors[collector.name] = collector
        return collector

    def deregister(self, name: str) -> None:
        """Removes the collector of this name. Raises KeyError if there is none."""
        with LOCK:
            del self._collectors[name]

    def get(self, name: str) -> Collector[Any, Any]:
        """The collector of this name. Raises KeyError if there is none."""
        with LOCK:
            return self._collectors[name]

    def get_all(self) -> list[Collector[Any, Any]]:
        """All collectors, in the order in which they came."""
        with LOCK:
            return list(self._collectors.values())
