"""Fixtures: servers that are stopped, and looked at, when their test ends."""

import os
import shutil

import pytest

from conformance import Pushgateway, pushgateway_program
from harness import Server, find_program

# Everything here stays on this machine, whatever proxy is set.
os.environ["NO_PROXY"] = os.environ["no_proxy"] = "*"


@pytest.fixture
def start():
    """Starts servers with the flags given."""
    servers = []

    def start_one(*flags, **options):
        servers.append(Server(*flags, **options))
        return servers[-1]

    yield start_one
    for server in servers:
        server.stop()


@pytest.fixture
def server(start):
    """A server as it comes out of the box, but for shards: several, so that pushes are split even on one core."""
    return start("--shards", "3")


@pytest.fixture
def start_pushgateway():
    """Starts official Pushgateways with the flags given."""
    program = pushgateway_program()
    if program is None:
        pytest.skip("no prometheus-pushgateway is installed")
    servers = []

    def start_one(*flags):
        servers.append(Pushgateway(program, *flags))
        return servers[-1]

    yield start_one
    for server in servers:
        server.stop()


@pytest.fixture
def start_in_its_place(start):
    """Starts Catchments that replace a Pushgateway."""
    return lambda *flags: start("--preset", "pushgateway", "--shards", "3", *flags)


@pytest.fixture(params=["start_pushgateway", "start_in_its_place"], ids=["official", "catchment"])
def start_either(request):
    return request.getfixturevalue(request.param)


def program(name):
    @pytest.fixture(name=name, scope="session")
    def find():
        path = find_program(name)
        if path is None:
            pytest.skip(f"{name} is not installed (CI=true makes this a failure)")
        return path

    return find


@pytest.fixture(scope="session")
def go_client():
    """The program in `go/`, built by `run.sh` where there is a Go toolchain."""
    path = os.environ.get("GO_CLIENT", "")
    if not os.path.isfile(path):
        assert not (shutil.which("go") and os.environ.get("CI") == "true"), "go is here, but its client was not built"
        pytest.skip("the Go client is not built: run.sh does it where go is installed")
    return path


curl = program("curl")
prometheus = program("prometheus")
promtool = program("promtool")
