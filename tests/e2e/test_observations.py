"""Observations as people send them: the examples of our documents and of the systems that are replaced, run as they stand."""

import json
import multiprocessing
import os
import re
import shutil
import socket
import subprocess
import sys

import pytest

from harness import HOST, REPOSITORY, Process, binary, clean_environment, eventually, free_port, samples, series

SENDERS = 4
DATAGRAMS = int(os.environ.get("E2E_DATAGRAMS", "1000000"))


def examples(heading, language):
    """The code of that language below a heading of the README."""
    readme = (REPOSITORY / "README.md").read_text()
    section = readme.split(f"\n{heading}\n", 1)[1].split("\n## ", 1)[0]
    return re.findall(rf"^```{language}\n(.*?)^```", section, re.MULTILINE | re.DOTALL)


def only_example(language, address):
    (code,) = examples("## One observation at a time", language)[:1]
    assert "localhost:9091" in code
    return code.replace("localhost:9091", address)


def run(*command, **options):
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, **options)
    assert done.returncode == 0, done.stderr
    return done.stdout


def found(program):
    path = shutil.which(program)
    if path is None:
        pytest.skip(f"no {program} is installed")
    return path


def free_datagram_port():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind((HOST, 0))
        return probe.getsockname()[1]


def test_a_shell_observes(server, curl):
    run("bash", "-euc", only_example("bash", server.address), env=os.environ | {"NO_PROXY": "*"})
    page = samples(server.page())
    assert page[series("backups_total", host="a")] == 1
    assert (page[series("backup_seconds_count")], page[series("backup_seconds_sum")]) == (2, 21.5)
    assert page[series("backup_seconds_bucket", le="10")] == 1


def test_python_observes(server):
    package = REPOSITORY / "clients/python/src"
    run(sys.executable, "-c", only_example("python", server.address), env=os.environ | {"PYTHONPATH": str(package)})
    page = samples(server.page())
    assert page[series("logins_total", method="password")] == 1
    assert page[series("login_seconds_sum")] == 0.25
    assert "# HELP login_seconds Time to log in.\n" in server.page()


def test_a_browser_observes(server):
    """Node's `fetch` is a browser's; a beacon is a POST of text that nobody waits for."""
    beacon = "globalThis.navigator = { sendBeacon: (url, body) => fetch(url, { method: 'POST', body }) };\n"
    run(found("node"), "-e", beacon + only_example("javascript", server.address))
    page = samples(server.page())
    assert page[series("page_views_total", page="/")] == 1
    assert page[series("time_on_page_seconds_count")] == 1


def test_a_browser_needs_no_preflight(server):
    headers = {"Origin": "https://example.org", "Content-Type": "text/plain;charset=UTF-8"}
    status, answer, _ = server.request("POST", "/metrics/counter", b'{"name": "c_total"}', headers)
    assert (status, answer["Access-Control-Allow-Origin"]) == (202, "*")
    asked = headers | {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "content-type"}
    status, answer, _ = server.request("OPTIONS", "/metrics/gauge/set", None, asked)
    assert (status, "POST" in answer["Access-Control-Allow-Methods"]) == (200, True)


def test_go_observes(server, tmp_path):
    program = tmp_path / "main.go"
    program.write_text(only_example("go", server.address))
    run(found("go"), "run", str(program))
    assert samples(server.page()) == {series("jobs_total", queue="mail"): 1}


def test_php_observes(server, tmp_path):
    program = tmp_path / "observe.php"
    program.write_text(only_example("php", server.address))
    run(found("php"), str(program))
    assert samples(server.page()) == {series("requests_total", code="200"): 1}


# As they are printed, which no JSON is.
TORCHS_BLOB = """\
    {
    \tname: "The name of the metric",
    \tdescription: "The description of the metric",
    \tlabels: {label1: "value1", label2: "value2"},
    \tvalue: 1.2
    }
"""
TORCHS_HISTOGRAM = TORCHS_BLOB.replace("1.2\n", "1.2,\n    \tbuckets: [1, 2, 3, 5, 8, 13, +Inf]\n")


def test_torch_is_replaced(curl):
    """`SERVICE_PORT=… torch`, and every route of its document with both of its examples."""
    name, labels = "The_name_of_the_metric", {"label1": "value1", "label2": "value2"}
    for route, suffix, expected in [
        # The parser names a counter's sample so, whatever its family is called.
        ("counter", "_total", 2.4),
        ("gauge/inc", "", 2.4),
        ("gauge/dec", "", -2.4),
        ("gauge/set", "", 1.2),
        ("summary", "_sum", 2.4),
        ("histogram", "_sum", 2.4),
    ]:
        port = free_port()
        process = Process([binary(), "--preset", "torch"], clean_environment(SERVICE_PORT=str(port)))
        try:
            eventually(lambda: "listening" in process.log(), "ready")
            for blob in (TORCHS_BLOB, TORCHS_HISTOGRAM):
                url = f"http://{HOST}:{port}/metrics/{route}"
                command = [curl, "--silent", "--fail", "--retry", "5", "--retry-connrefused", "--data-binary", blob, url]
                assert run(*command) == ""
            page = run(curl, "--silent", f"http://{HOST}:{port}/metrics")
            assert f"# HELP {name} The description of the metric\n" in page
            assert samples(page)[series(name + suffix, **labels)] == expected
        finally:
            process.ask_to_stop()
            assert process.exit_code() == 0


HERMES = {
    "service_name": "testing-service",
    "gauges": [
        {
            "metric_name": "sample_gauge",
            "metric_description": "gauges are awesome",
            "labels": ["label_1", "label_2"],
        }
    ],
    "counters": [
        {
            "metric_name": "sample_counter",
            "metric_description": "counters are awesome too",
            "labels": ["label_1"],
        }
    ],
}


def test_hermes_is_replaced(start, tmp_path):
    """Its configuration and variables, and the Python example of its document against our client."""
    configuration = tmp_path / "config.json"
    configuration.write_text(json.dumps(HERMES))
    port = free_datagram_port()
    variables = {"HERMES_CONFIG_PATH": str(configuration), "LISTEN_PORT": str(port), "LISTEN_ADDRESS": HOST, "LOG_LEVEL": "INFO"}
    server = start("--preset", "hermes", environment=variables)
    assert server.page() == (
        "# HELP sample_counter counters are awesome too\n# TYPE sample_counter counter\n"
        "# HELP sample_gauge gauges are awesome\n# TYPE sample_gauge gauge\n"
    )
    example = f"""
from catchment import push_gauge, push_counter, set_hermes_config

set_hermes_config('{HOST}', {port})
counter_data = {{
    'label_1': 'testing python client'
}}
push_counter(metric_name='sample_counter', labels=counter_data)
gauge_data = {{
    'label_1': 'testing python client twice',
    'label_2': 'testing python client thrice'
}}
push_gauge(metric_name='sample_gauge', value=65.6, labels=gauge_data)
"""
    run(sys.executable, "-c", example, env=os.environ | {"PYTHONPATH": str(REPOSITORY / "clients/python/src")})
    expected = {
        series("sample_counter_total", label_1="testing python client"): 1,
        series("sample_gauge", label_1="testing python client twice", label_2="testing python client thrice"): 65.6,
    }
    eventually(lambda: samples(server.page()) == expected, "both on the page")


def test_datagrams_of_the_readme(start, tmp_path):
    (commands,) = examples("### By datagram", "bash")
    (declarations,) = examples("### By datagram", "json")
    port = free_datagram_port()
    commands = "\n".join(line for line in commands.splitlines() if line.startswith("echo")).replace("7789", str(port))
    expected = {series("mails_total", to="a"): 1, series("queue_length"): 12, series("mail_seconds_count"): 1}
    file = tmp_path / "declarations.json"
    file.write_text(declarations)
    for flags in ([], ["--declarations", str(file)]):
        server = start("--udp-listen", f"{HOST}:{port}", *flags)
        assert ("# TYPE mail_bytes summary" in server.page()) == bool(flags)
        run("bash", "-euc", commands)
        eventually(lambda: expected.items() <= samples(server.page()).items(), "all on the page")
        bounds = {dict(labels).get("le") for _, labels in samples(server.page())}
        assert ("7.5" in bounds) != bool(flags), "the buckets are those declared"
        server.stop()


def send(port, number, datagrams):
    """Sends until every datagram has left, as fast as it can."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        sender.connect((HOST, port))
        datagram = json.dumps({"metric_name": "c_total", "payload": {"labels": {"sender": str(number)}}}).encode()
        for _ in range(datagrams):
            sender.send(datagram)


def test_received_and_dropped_are_what_was_sent(start):
    port = free_datagram_port()
    server = start("--udp-listen", f"{HOST}:{port}")
    context = multiprocessing.get_context("spawn")
    each = DATAGRAMS // SENDERS
    senders = [context.Process(target=send, args=(port, number, each)) for number in range(SENDERS)]
    for sender in senders:
        sender.start()
    for sender in senders:
        sender.join()
        assert sender.exitcode == 0

    def counted(name):
        """Own metrics of that name, whatever their labels."""
        page = server.get("/-/metrics")[1]
        values = re.findall(rf"^{name}(?:\{{[^}}]*\}})? (\S+)$", page, re.MULTILINE)
        return sum(map(float, values))

    def taken():
        return sum(value for (name, _), value in samples(server.page()).items() if name == "c_total")

    sent = each * SENDERS
    received = "catchment_udp_datagrams_total"
    eventually(lambda: counted(received) + counted("catchment_udp_kernel_drops_total") >= sent, "all accounted for", 60)
    assert counted(received) + counted("catchment_udp_kernel_drops_total") == sent
    eventually(lambda: taken() + counted("catchment_udp_dropped_total") >= counted(received), "all taken in", 60)
    assert taken() + counted("catchment_udp_dropped_total") == counted(received)
