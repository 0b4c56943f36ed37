"""Catchment as a process: how it starts, what it says when it cannot, and how it ends."""

import http.client
import signal
import socket
import time

import pytest

from harness import HOST, eventually, push_big_page, run_to_end, samples, series, slow_scrape


def test_a_busy_port_is_named(server):
    done = run_to_end("--listen", server.address)
    assert (done.returncode, done.stdout) == (1, "")
    assert [line for line in done.stderr.splitlines() if "cannot listen" in line and server.address in line]
    assert server.is_ready()


@pytest.mark.parametrize(
    "arguments", [["--no-such-flag"], ["stray"], ["--listen"]], ids=["flag", "argument", "no value"]
)
def test_a_wrong_command_line_is_named(arguments):
    done = run_to_end(*arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert arguments[0] in done.stderr
    assert "panicked" not in done.stderr


FILES = {
    "an unknown key": ("gauges = 'sum'\nno-such-key = 1\n", "no-such-key"),
    "an unknown table": ("[no_such_table]\nx = 1\n", "no_such_table"),
    "a wrong choice": ("gauges = 'median'\n", "median"),
    "a wrong number": ("max-series = -1\n", "max-series"),
    "a wrong duration": ("keep-alive = 'soon'\n", "soon"),
    "no TOML": ("gauges: sum\n", "TOML"),
}


@pytest.mark.parametrize(("text", "named"), FILES.values(), ids=FILES.keys())
def test_a_wrong_file_is_named_and_what_is_wrong_in_it(tmp_path, text, named):
    path = tmp_path / "catchment.toml"
    path.write_text(text)
    done = run_to_end("--config", str(path))
    assert (done.returncode, done.stdout) == (1, "")
    assert str(path) in done.stderr and named in done.stderr


def test_a_missing_file_is_named(tmp_path):
    done = run_to_end("--config", str(tmp_path / "none.toml"))
    assert done.returncode == 1
    assert "none.toml" in done.stderr


VARIABLES = {
    "an unknown one": ("CATCHMENT_NO_SUCH", "1", "CATCHMENT_NO_SUCH"),
    "a wrong value": ("CATCHMENT_MAX_BODY", "16 apples", "16 apples"),
    "an address that is none": ("CATCHMENT_LISTEN", "127.0.0.1", "127.0.0.1"),
}


@pytest.mark.parametrize(("name", "value", "named"), VARIABLES.values(), ids=VARIABLES.keys())
def test_a_wrong_variable_is_named(name, value, named):
    done = run_to_end(environment={name: value})
    assert (done.returncode, done.stdout) == (1, "")
    assert named in done.stderr and "environment" in done.stderr


def test_the_printed_configuration_says_where_each_value_comes_from(tmp_path):
    path = tmp_path / "catchment.toml"
    path.write_text(
        "gauges = 'max'\nmax-series = 5\nmax-body = '1MiB'\ncors-origin = ['https://a.example', 'https://b.example']\n"
    )
    done = run_to_end(
        *("--print-config", "--config", str(path), "--gauges", "sum", "--listen", f"{HOST}:1", "--listen", f"{HOST}:2"),
        environment={"CATCHMENT_MAX_BODY": "2MiB", "CATCHMENT_GAUGES": "min"},
    )
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    for line in [
        'gauges = "sum"  # flag',
        f'listen = ["{HOST}:1", "{HOST}:2"]  # flag',
        'max-body = "2MiB"  # environment',
        f'max-series = "5"  # file {path}',
        f'cors-origin = ["https://a.example", "https://b.example"]  # file {path}',
        'keep-alive = "75s"  # default',
    ]:
        assert line in lines


def test_the_printed_configuration_is_a_configuration(tmp_path):
    path = tmp_path / "printed.toml"
    path.write_text(run_to_end("--print-config", "--gauges", "mean", "--shards", "3").stdout)
    done = run_to_end("--print-config", "--config", str(path))
    assert done.returncode == 0
    assert f'gauges = "mean"  # file {path}' in done.stdout


def test_the_file_and_the_environment_are_obeyed(start, tmp_path):
    path = tmp_path / "catchment.toml"
    path.write_text("gauges = 'sum'\n")
    server = start(environment={"CATCHMENT_CONFIG": str(path), "CATCHMENT_PATH_LABELS": "ignore"})
    server.push_all("# TYPE g gauge\ng 1\n", "# TYPE g gauge\ng 2\n", path="/metrics/job/x")
    assert samples(server.page()) == {series("g"): 3}


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_well(start, how):
    server = start()
    server.push_all("x 1\n")
    server.process.ask_to_stop(how)
    assert server.process.exit_code(5) == 0


def test_idle_connections_do_not_delay_the_end(start):
    """A Prometheus server, for one, keeps its connection open between scrapes."""
    server = start()
    connections = [server.connection() for _ in range(3)]
    for connection in connections:
        connection.request("GET", "/metrics")
        connection.getresponse().read()
    server.process.ask_to_stop()
    assert server.process.exit_code(10) == 0


def test_at_the_end_it_is_not_ready_first_and_finishes_a_slow_scrape(start):
    server = start(shutdown_delay="2s")
    lines = push_big_page(server)
    scrape = slow_scrape(server.port)
    page = scrape.read(100_000)

    asked_at = time.monotonic()
    server.process.ask_to_stop()
    eventually(lambda: server.get("/-/ready")[0] == 503, "not ready", 1.5)
    assert server.get("/-/healthy")[0] == 200
    # Until balancers have noticed, all else goes on.
    server.push_all("late 1\n")

    eventually(server.is_closed, "listener closed", 10)
    assert time.monotonic() - asked_at > 1.9
    assert not server.process.has_ended()
    page += scrape.read()
    assert page.count(b"\n") == lines
    assert server.process.exit_code() == 0


def test_a_scrape_that_reads_nothing_does_not_hold_up_the_end_for_ever(start):
    server = start("--shutdown-timeout", "1s")
    push_big_page(server)
    scrape = slow_scrape(server.port)
    server.process.ask_to_stop()
    assert server.process.exit_code(15) == 0
    # What was cut must not look whole.
    with pytest.raises((http.client.IncompleteRead, ConnectionError)):
        scrape.read()


def test_a_push_on_its_way_is_finished(start):
    server = start(shutdown_delay="10ms")
    body = b"x 1\ny 1\n"
    connection = socket.create_connection((HOST, server.port), timeout=10)
    head = f"POST /metrics HTTP/1.1\r\nHost: {HOST}\r\nContent-Length: {len(body)}\r\n\r\n"
    connection.sendall(head.encode() + body[:5])
    eventually(lambda: server.own("catchment_inflight_bytes") > 0, "the push has begun")
    server.process.ask_to_stop()

    eventually(server.is_closed, "listener closed")
    connection.sendall(body[5:])
    assert connection.recv(1000).startswith(b"HTTP/1.1 202 ")
    connection.close()
    assert server.process.exit_code(10) == 0
