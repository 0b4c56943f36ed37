"""Pushes metrics to Catchment, an aggregating push gateway for Prometheus.

There are three styles. Which one is for you:

- `Client`: tell what happens, one observation at a time, by HTTP. Delivered in batches, tried again, counted if lost.
- `push_counter`, `push_gauge` and the others of `catchment.hermes`: the same as datagrams. Next to nothing to pay,
  nothing promised.
- `catchment.collectors` and `catchment.registry`: keep the numbers, and show them (`catchment.exporter`) or push them
  whole (`catchment.push`; `catchment.multiprocess` for the workers of a server).
"""

from catchment.client import Client
from catchment.hermes import (
    counter_wrapper,
    decrement_gauge,
    gauge_wrapper,
    hermes_gauge,
    increment_counter,
    increment_gauge,
    observe_histogram,
    observe_summary,
    push_counter,
    push_gauge,
    push_histogram,
    push_summary,
    set_gauge,
    set_hermes_config,
    timer,
)
from catchment.transport import PushError, Transport

__version__ = "0.1.0"

__all__ = [
    "Client",
    "PushError",
    "Transport",
    "counter_wrapper",
    "decrement_gauge",
    "gauge_wrapper",
    "hermes_gauge",
    "increment_counter",
    "increment_gauge",
    "observe_histogram",
    "observe_summary",
    "push_counter",
    "push_gauge",
    "push_histogram",
    "push_summary",
    "set_gauge",
    "set_hermes_config",
    "timer",
]
