"""The `replace` door is the Pushgateway: the same requests, to the official one and to Catchment in its place, get the
same answers and leave the same page. `DELIBERATE` lists where Catchment differs, and why."""

import concurrent.futures
import datetime
import json
import threading
import time

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics

from conformance import (
    RECENT,
    RECENT_SECONDS,
    TIMES,
    Pushgateway,
    Request,
    delete,
    page_of,
    post,
    pushed,
    pushed_and_refused,
    put,
    readable,
    settle,
)
from conformance_cases import CASES, ROUTES
from conformance_deliberate import DELIBERATE, OPENMETRICS
from harness import samples, series, types


@pytest.fixture
def gateway(start_either):
    return start_either()


def check(server, case):
    for request in case.requests:
        request.send(server)
    if case.page is None:
        assert {name for name, _ in page_of(server)} <= set(TIMES)
    else:
        assert settle(lambda: page_of(server), case.page) == case.page
    assert case.types.items() <= types(server.page()).items()


@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
def test_requests_get_these_answers_and_leave_this_page(gateway, case):
    if isinstance(gateway, Pushgateway) and gateway.version() < case.since:
        pytest.skip(f"the Pushgateway does so since {case.since}")
    check(gateway, case)


@pytest.mark.parametrize("case", [case for _, case in DELIBERATE.values()], ids=DELIBERATE.keys())
def test_where_catchment_differs_it_does_so(start_in_its_place, case):
    check(start_in_its_place(), case)


@pytest.mark.parametrize(("method", "path", "status", "says"), ROUTES.values(), ids=ROUTES.keys())
def test_routes(gateway, method, path, status, says):
    put("/job/x", "a 1\n").send(gateway)
    Request(method, path, status=status, says=says).send(gateway)
    assert page_of(gateway) == pushed("a 1\n", job="x")
    allowed = gateway.request(method, path)[1]["Allow"] or ""
    assert status != 405 or method not in allowed.replace(",", " ").split()


def test_a_refusal_is_plain_text(gateway):
    status, headers, answer = gateway.request("PUT", "/metrics/job/x", b"?\n")
    assert (status, headers.get_content_type(), headers["X-Content-Type-Options"]) == (400, "text/plain", "nosniff")
    assert answer.strip() and answer.endswith(b"\n")


def test_a_get_of_the_page_is_text_even_for_a_reader_of_all(gateway):
    put("/job/x", "a 1\n").send(gateway)
    for accept in (None, "*/*", "text/plain;version=0.0.4"):
        _, headers, _ = gateway.request("GET", "/metrics", headers={"Accept": accept} if accept else {})
        assert headers.get_content_type() == "text/plain" and headers.get_param("version") == "0.0.4"


PUTS = 100
FAMILIES = 40


def state(number):
    """A group's families at some time: their names and values all tell which."""
    return "".join(f"# TYPE m{index}_{number % 2} gauge\nm{index}_{number % 2} {number}\n" for index in range(FAMILIES))


def test_no_scrape_sees_half_of_a_group(gateway):
    put("/job/x", state(0)).send(gateway)
    is_over = threading.Event()

    def scrape():
        pages, last = 0, 0
        while not is_over.is_set():
            found = {name: value for (name, _), value in page_of(gateway).items() if name not in TIMES}
            assert len(found) == FAMILIES and len(set(found.values())) == 1, found
            number = found.popitem()[1]
            assert number >= last
            pages, last = pages + 1, number
        return pages

    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        scraping = [pool.submit(scrape) for _ in range(2)]
        try:
            for number in range(1, PUTS):
                put("/job/x", state(number)).send(gateway)
        finally:
            is_over.set()
        assert all(reader.result() > 0 for reader in scraping)


def test_many_groups_pushed_at_once_are_what_each_pushed_last(gateway):
    def work(index):
        for number in range(20):
            method = (put, post)[number % 2]
            # A push between that is refused changes nothing but the time.
            put(f"/job/x/instance/{index}", f"a {number}\nb 1 1\n", 400).send(gateway)
            method(f"/job/x/instance/{index}", f"a {number}\nb{number % 2} {index}\n").send(gateway)

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        list(pool.map(work, range(8)))
    expected = {}
    for index in range(8):
        expected |= pushed_and_refused(f"a 19\nb0 {index}\nb1 {index}\n", job="x", instance=str(index))
    assert page_of(gateway) == expected


def test_the_admin_api_wipes_all_groups(start_either):
    gateway = start_either("--web.enable-admin-api")
    for path in ("/job/x", "/job/x/instance/y", "/job/z/l/%C3%A9"):
        put(path, "# TYPE a gauge\na 1\n").send(gateway)
    put("/job/w", "a 1 1\n", 400).send(gateway)
    Request("PUT", "/api/v1/admin/wipe", status=202).send(gateway)
    assert settle(lambda: page_of(gateway), {}) == {}
    # Nothing is left of its types.
    put("/job/x", "# TYPE a summary\na_sum 1\na_count 1\n").send(gateway)
    assert page_of(gateway) == pushed("a_sum 1\na_count 1\n", job="x")


@pytest.mark.parametrize("method", ["PUT", "POST"])
def test_the_lifecycle_api_ends_it(start_either, method):
    gateway = start_either("--web.enable-lifecycle")
    Request("GET", "/-/quit", status=405).send(gateway)
    Request(method, "/-/quit", says="Requesting termination... Goodbye!").send(gateway)
    assert gateway.process.exit_code() == 0


def test_flags_with_values_are_spelt_in_both_ways(start_either):
    gateway = start_either("--log.level=error", "--log.format", "json", "--no-web.enable-admin-api")
    put("/job/x", "a 1\n").send(gateway)
    Request("PUT", "/api/v1/admin/wipe", status=404).send(gateway)


def api(server, path):
    status, headers, answer = server.request("GET", "/api/v1/" + path, headers={"Origin": "http://a.example"})
    assert (status, headers.get_content_type()) == (200, "application/json")
    assert headers["Access-Control-Allow-Origin"] == "*"
    envelope = json.loads(answer)
    assert envelope.keys() == {"status", "data"} and envelope["status"] == "success"
    return envelope["data"]


def is_recent(text):
    """Whether a time in RFC 3339 is about now."""
    seconds = datetime.datetime.fromisoformat(text[:19]).replace(tzinfo=datetime.timezone.utc)
    assert text.endswith("Z") or text[-6] in "+-"
    return abs(seconds.timestamp() - time.time()) < RECENT_SECONDS


def test_the_status_of_the_api(gateway):
    data = api(gateway, "status")
    assert data.keys() == {"build_information", "flags", "start_time"}
    assert {"version", "revision"} <= data["build_information"].keys()
    assert is_recent(data["start_time"])
    assert all(isinstance(value, str) for value in (data["flags"] | data["build_information"]).values())
    flags = {"web.enable-admin-api": "false", "web.enable-lifecycle": "false", "web.telemetry-path": "/metrics"}
    assert flags.items() <= data["flags"].items()


@pytest.mark.parametrize("path", ["/api/v1/status", "/api/v1/metrics"])
def test_pages_of_other_origins_may_read_the_api(gateway, path):
    asked = {"Origin": "http://a.example", "Access-Control-Request-Method": "GET"}
    status, headers, _ = gateway.request("OPTIONS", path, headers=asked)
    assert (status, headers["Access-Control-Allow-Origin"]) == (200, "*")
    assert "GET" in headers["Access-Control-Allow-Methods"]


GROUP_TEXT = """\
# HELP c_total Some "C".
# TYPE c_total counter
c_total{k="v"} 42
c_total 1e10
# TYPE g gauge
g NaN
u -Inf
# TYPE s summary
s{quantile="0.5"} 0.25
s_sum 2
s_count 4
# TYPE h histogram
h_bucket{le="0.1"} 1
h_bucket{le="+Inf"} 3
h_sum 4.5
h_count 3
"""
GROUP_LABELS = {"instance": "", "job": "x", "l": "é/1"}


def metric(**fields):
    return {"labels": GROUP_LABELS} | fields


GROUP_FAMILIES = {
    "c_total": {
        "type": "COUNTER",
        "help": 'Some "C".',
        "metrics": [{"labels": GROUP_LABELS | {"k": "v"}, "value": 42}, {"labels": GROUP_LABELS, "value": 1e10}],
    },
    "g": {"type": "GAUGE", "metrics": [metric(value="NaN")]},
    "u": {"type": "UNTYPED", "metrics": [metric(value=float("-inf"))]},
    "s": {"type": "SUMMARY", "metrics": [metric(quantiles={"0.5": 0.25}, count=4, sum=2)]},
    "h": {"type": "HISTOGRAM", "metrics": [metric(buckets={"0.1": 1, "+Inf": 3}, count=3, sum=4.5)]},
}


def numbers(name, value):
    """What the API tells of a metric, with its strings read as the numbers they are."""
    if isinstance(value, dict):
        return {key: numbers(name, own) for key, own in value.items()}
    assert isinstance(value, str), value
    return readable(name, float(value))


def family_of(name, told):
    assert is_recent(told.pop("time_stamp"))
    metrics = [
        {"labels": metric.pop("labels")} | {field: numbers(name, value) for field, value in metric.items()}
        for metric in told.pop("metrics")
    ]
    return told | {"metrics": sorted(metrics, key=lambda metric: sorted(metric["labels"].items()))}


def groups_of(server):
    """The groups that the API tells, by their labels: whether the last push went well, the families."""
    found = {}
    for group in api(server, "metrics"):
        labels = tuple(sorted(group.pop("labels").items()))
        assert labels not in found
        went_well = group.pop("last_push_successful")
        found[labels] = went_well, {name: family_of(name, told) for name, told in group.items()}
    return found


def times_of(labels, pushed_at, failed_at):
    text = "Last Unix time when changing this group in the Pushgateway {}."
    told = zip(TIMES, ("succeeded", "failed"), (pushed_at, failed_at))
    return {
        name: {"type": "GAUGE", "help": text.format(how), "metrics": [{"labels": labels, "value": value}]}
        for name, how, value in told
    }


def test_the_api_tells_all_groups(gateway):
    assert groups_of(gateway) == {}
    put("/job/x/l@base64/w6kvMQ", GROUP_TEXT).send(gateway)
    put("/job/y/instance/i", "a 1 1\n", 400).send(gateway)
    put("/job/z", "").send(gateway)
    put("/job/w", "").send(gateway)
    delete("/job/w").send(gateway)
    groups = {
        (("job", "x"), ("l", "é/1")): (True, GROUP_FAMILIES | times_of(GROUP_LABELS, RECENT, 0)),
        (("instance", "i"), ("job", "y")): (False, times_of({"instance": "i", "job": "y"}, 0, RECENT)),
        (("job", "z"),): (True, times_of({"instance": "", "job": "z"}, RECENT, 0)),
    }
    assert settle(lambda: groups_of(gateway), groups) == groups


def test_the_api_tells_whether_the_last_push_went_well(gateway):
    def went_well():
        return [well for well, _ in groups_of(gateway).values()]

    put("/job/x", "a 1\n").send(gateway)
    assert went_well() == [True]
    put("/job/x", "a 1 1\n", 400).send(gateway)
    assert went_well() == [False]
    put("/job/x", "a{\n", 400).send(gateway)
    assert went_well() == [False]
    put("/job/x", "a 2\n").send(gateway)
    assert went_well() == [True]


def test_catchment_shows_groups_in_openmetrics_as_well(start_in_its_place):
    server = start_in_its_place()
    put("/job/x", GROUP_TEXT).send(server)
    put("/job/y", "# TYPE c_total counter\nc_total 1\n").send(server)
    status, headers, page = server.request("GET", "/metrics", headers={"Accept": OPENMETRICS})
    assert (status, headers.get_content_type()) == (200, "application/openmetrics-text")
    found = {
        series(sample.name, **sample.labels): sample.value
        for family in parse_openmetrics(page.decode())
        for sample in family.samples
    }
    assert found.keys() == samples(server.page()).keys()
    assert found[series("c_total", instance="", job="y")] == 1


def test_catchment_selects_families_of_groups(start_in_its_place):
    server = start_in_its_place()
    put("/job/x", "a 1\nb 2\n").send(server)
    status, page = server.get("/metrics?name[]=b")
    assert (status, samples(page)) == (200, {series("b", instance="", job="x"): 2})
