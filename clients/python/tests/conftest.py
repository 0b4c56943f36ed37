"""Fixtures: servers that are stopped when their test ends."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from typing import Callable

import pytest
from harness import Datagrams, Recorder, Server

# Everything here stays on this machine, whatever proxy is set.
os.environ["NO_PROXY"] = os.environ["no_proxy"] = "*"

Start = Callable[..., Server]

DECLARATIONS = {
    "service_name": "testing-service",
    "gauges": [
        {
            "metric_name": "sample_gauge",
            "metric_description": "gauges are awesome",
            "labels": ["label_1", "label_2"],
        }
    ],
    "counters": [
        {"metric_name": "sample_counter", "metric_description": "counters are awesome too", "labels": ["label_1"]}
    ],
    "histograms": [{"metric_name": "sample_histogram", "metric_description": "seconds", "labels": ["label_1"]}],
    "summaries": [{"metric_name": "sample_summary", "metric_description": "bytes", "labels": ["label_1"]}],
}


@pytest.fixture
def start() -> Iterator[Start]:
    """Starts servers with the flags given."""
    servers: list[Server] = []

    def start_one(*flags: str) -> Server:
        servers.append(Server(*flags))
        return servers[-1]

    yield start_one
    for server in servers:
        server.stop()


@pytest.fixture
def server(start: Start) -> Server:
    return start("--shards", "3")


@pytest.fixture
def recorder() -> Iterator[Recorder]:
    recorder = Recorder()
    yield recorder
    recorder.close()


@pytest.fixture
def datagrams() -> Iterator[Datagrams]:
    datagrams = Datagrams()
    yield datagrams
    datagrams.close()


@pytest.fixture(params=["as_they_come", "declared"])
def listening(request: pytest.FixtureRequest, start: Start, tmp_path: object) -> Server:
    """A server for datagrams, with and without Hermes' declarations."""
    flags = ["--udp-listen", "127.0.0.1:0"]
    if request.param == "declared":
        path = f"{tmp_path}/declarations.json"
        with open(path, "w") as file:
            json.dump(DECLARATIONS, file)
        flags += ["--declarations", path]
    return start(*flags)
