"""Pushes with the official Go client, which sends delimited protobuf with native histograms and exemplars."""

import math
import random
import re
import subprocess

import pytest

from conformance import TIMES, page_of, pushed, settle
from harness import samples, series, types
from prometheus_server import Prometheus

# The client was asked for buckets whose bounds grow by at most a tenth: schema 3.
GROWTH = 2 ** (1 / 8)
OPENMETRICS = "application/openmetrics-text; version=1.0.0"


def push_all(go_client, server, *batches):
    """One process for each batch of numbers, all at once."""
    children = [
        subprocess.Popen(
            [go_client, server.url, "work", "add"], stdin=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        for _ in batches
    ]
    for child, batch in zip(children, batches):
        _, errors = child.communicate("".join(f"{value!r}\n" for value in batch), timeout=60)
        assert child.returncode == 0, errors


def observations(seed, count):
    rng = random.Random(seed)
    return [rng.lognormvariate(0, 1) for _ in range(count)]


def test_processes_are_added_up(go_client, server):
    batches = [[0.125, 0.25, 3.0], [0.5, 8.0]]
    push_all(go_client, server, *batches)
    observed = sum(batches, [])
    page = server.page()
    found = samples(page)

    assert types(page) == {
        "both_seconds": "histogram",
        "classic_seconds": "histogram",
        "events_total": "counter",
        "last_seconds": "gauge",
        "native_seconds": "histogram",
        "summed_seconds": "summary",
    }
    assert found[series("events_total", size="small", job="work")] == 3
    assert found[series("events_total", size="large", job="work")] == 2
    assert found[series("last_seconds", job="work")] in (3.0, 8.0)
    assert found[series("summed_seconds_count", job="work")] == 5
    for name in ("native", "classic", "both"):
        assert found[series(f"{name}_seconds_sum", job="work")] == sum(observed)
        assert found[series(f"{name}_seconds_count", job="work")] == 5
        assert found[series(f"{name}_seconds_bucket", le="+Inf", job="work")] == 5
    for name in ("classic", "both"):
        for bound in ("0.25", "0.5", "1", "2", "4"):
            count = sum(value <= float(bound) for value in observed)
            assert found[series(f"{name}_seconds_bucket", le=bound, job="work")] == count
    assert len([name for name, _ in found if name == "native_seconds_bucket"]) == 1


def test_exemplars_and_created_timestamps_reach_the_page(go_client, server):
    push_all(go_client, server, [0.125, 3.0])
    status, _, body = server.request("GET", "/metrics", headers={"Accept": OPENMETRICS})
    assert status == 200
    page = body.decode()
    exemplar = r' # \{trace_id="\d+-1"\} (3|1)(\.0)? \d+(\.\d+)?$'
    assert re.search(r'^events_total\{job="work",size="large"\} 1(\.0)?' + exemplar, page, re.MULTILINE), page
    assert re.search(r'^classic_seconds_bucket\{job="work",le="4.0"\} 2' + exemplar, page, re.MULTILINE), page
    for name in ("events", "native_seconds", "classic_seconds", "both_seconds", "summed_seconds"):
        assert re.search(rf"^{name}_created\{{.*\}} 1\d{{9}}(\.\d+)?$", page, re.MULTILINE), name


GROUPING = {"path": "/srv/a b", "empty": ""}
# Of these labels, an empty one is none.
GROUP = {"job": "nightly/batch", "path": "/srv/a b"}


def run(go_client, url, how, numbers=""):
    """A job that belongs to a group."""
    labels = [f"{name}={value}" for name, value in GROUPING.items()]
    arguments = [go_client, url, GROUP["job"], how, *labels]
    done = subprocess.run(arguments, input=numbers, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr


def check_counted(page, pushes, **labels):
    """What so many pushes of 0.125 and 3 make."""
    assert page[series("last_seconds", **labels)] == 3
    for size in ("small", "large"):
        assert page[series("events_total", size=size, **labels)] == pushes
    for name in ("native", "classic", "both", "summed"):
        assert page[series(f"{name}_seconds_count", **labels)] == 2 * pushes
        assert page[series(f"{name}_seconds_sum", **labels)] == 3.125 * pushes
    for name in ("classic", "both"):
        for bound, count in {"0.25": 1, "2": 1, "4": 2, "+Inf": 2}.items():
            assert page[series(f"{name}_seconds_bucket", le=bound, **labels)] == count * pushes


def test_a_group_is_added_up_and_deleted_by_aggregate(go_client, server):
    url = server.url + "/aggregate"
    for how in ("push", "add"):
        run(go_client, url, how, "0.125\n3\n")
    check_counted(page_of(server), 2, **GROUP)
    run(go_client, url, "delete")
    assert settle(lambda: page_of(server), {}) == {}


def test_a_source_that_starts_again_is_told_by_when_its_metrics_were_created(go_client, server):
    url = server.url + "/source"
    for pushes, how in ((1, "push"), (2, "add")):
        run(go_client, url, how, "0.125\n3\n")
        # Another process, whose values are not lower than those of the first.
        check_counted(page_of(server), pushes)
    counted = {key: value for key, value in page_of(server).items() if key != series("last_seconds")}
    run(go_client, url, "delete")
    assert settle(lambda: page_of(server), counted) == counted


def check_replaced(go_client, server, url):
    labels = GROUP | {"instance": ""}
    for how in ("push", "add"):
        run(go_client, url, how, "7\n")
        run(go_client, url, how, "0.125\n3\n")
        page = page_of(server)
        check_counted(page, 1, **labels)
        assert {key: value for key, value in page.items() if key[0] in TIMES} == pushed(**GROUP)
    run(go_client, url, "delete")
    assert settle(lambda: page_of(server), {}) == {}


def test_a_group_is_replaced_and_deleted_by_replace(go_client, server):
    check_replaced(go_client, server, server.url + "/replace")


def test_a_group_is_replaced_and_deleted_by_a_pushgateway(go_client, start_either):
    server = start_either()
    check_replaced(go_client, server, server.url)


@pytest.fixture
def scraper(prometheus, server, tmp_path):
    """Scrapes `server`, native histograms too."""
    running = Prometheus(prometheus, server.address, tmp_path, "--enable-feature=native-histograms")
    yield running
    running.stop()


def test_prometheus_answers_quantiles_of_native_histograms_within_their_resolution(go_client, server, scraper):
    batches = [observations(seed, 700 + 100 * seed) for seed in range(4)]
    push_all(go_client, server, *batches)
    observed = sorted(sum(batches, []))
    count = len(observed)

    for name in ("native_seconds", "both_seconds"):
        scraper.wait_for(f"histogram_count({name})", count)
        total = scraper.query(f"histogram_sum({name})")
        assert math.isclose(total, math.fsum(observed), rel_tol=1e-12)
        for quantile in (0.01, 0.1, 0.25, 0.5, 0.9, 0.99, 0.999):
            exact = observed[math.ceil(quantile * count) - 1]
            estimate = scraper.query(f"histogram_quantile({quantile}, {name})")
            assert exact / GROWTH <= estimate <= exact * GROWTH, (name, quantile)
    assert (scraper.query("up"), scraper.last_error()) == (1, "")
    assert scraper.query("sum(events_total)") == count

    # More comes: what Prometheus has seen goes on growing.
    push_all(go_client, server, observed[:100])
    scraper.wait_for("histogram_count(native_seconds)", count + 100)


def test_prometheus_scrapes_a_page_of_native_and_classic_pushes_to_one_series(go_client, server, scraper):
    """Whoever pushes text to the same family: the page stays one that Prometheus takes."""
    push_all(go_client, server, [0.125, 3.0])
    server.push_all(
        '# TYPE both_seconds histogram\nboth_seconds_bucket{le="1"} 1\nboth_seconds_bucket{le="+Inf"} 4\n'
        "both_seconds_sum 9\nboth_seconds_count 4\n",
        path="/metrics/job/work",
    )
    server.push_all("after 1\n")
    scraper.wait_for("after", 1)
    assert (scraper.query("up"), scraper.last_error()) == (1, "")
    assert samples(server.page())[series("both_seconds_count", job="work")] == 6
