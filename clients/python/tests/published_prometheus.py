"""Pushes, adds to or deletes with the published `prometheus` 0.3.0, unmodified. Runs under the old Python that it
needs:

    published_prometheus.py add|replace|delete URL JOB INSTANCE NAME=VALUE…

An INSTANCE of "" is for none.
"""

import sys

from prometheus.collectors import Counter, Gauge, Summary
from prometheus.pusher import Pusher
from prometheus.registry import Registry


def main() -> None:
    action, url, job, instance = sys.argv[1:5]
    registry = Registry()
    for setting in sys.argv[5:]:
        name, value = setting.split("=")
        kind = Counter if name.endswith("_total") else Summary if name.endswith("_seconds") else Gauge
        collector = kind(name, "Help of " + name, {"client": "published"})
        registry.register(collector)
        if kind is Gauge:
            collector.set({"a": "b"}, float(value))
        else:
            collector.add({"a": "b"}, float(value))
    getattr(Pusher(job, url, instance or None), action)(registry)


main()
