"""A real Prometheus server scrapes what was pushed, and promtool reads the page."""

import math
import subprocess

import pytest

from breakers import BREAKERS
from harness import histogram_text
from prometheus_server import Prometheus

@pytest.fixture
def scraper(prometheus, server, tmp_path):
    """Scrapes `server`."""
    running = Prometheus(prometheus, server.address, tmp_path)
    yield running
    running.stop()


def test_prometheus_sees_the_exact_sum(server, scraper):
    total = 0
    for step in range(1, 61):
        group = f"/metrics/job/batch/instance/{step % 3}"
        server.push_all(f'# TYPE x_total counter\nx_total{{step="{step % 4}"}} {step}\n', path=group)
        total += step
        if step % 20 == 0:
            scraper.wait_for("sum(x_total)", total)
    server.push_all(histogram_text({"0.1": 0, "1": 8, "10": 10, "+Inf": 10}, 9.5, 10), path="/metrics/job/batch")
    server.push_all(histogram_text({"1": 2, "+Inf": 2}, 1, 2), path="/metrics/job/batch")
    scraper.wait_for("h_count", 12)

    assert scraper.query("up") == 1
    assert scraper.query('count(x_total{job="batch",instance=~"[012]"})') == 12
    # Bounds are written as OpenMetrics has them, which is what this server asks for.
    assert scraper.query('h_bucket{le="1.0"}') == 10
    quantile = scraper.query("histogram_quantile(0.5, h_bucket)")
    assert math.isclose(quantile, 0.1 + 0.9 * 6 / 10)


def test_prometheus_goes_on_scraping_whatever_was_pushed(server, scraper):
    server.push_all("before 1\n")
    scraper.wait_for("before", 1)
    for path, body in BREAKERS.values():
        server.push(body, "/metrics" + path)
    server.push_all("after 1\n")
    scraper.wait_for("after", 1)
    assert (scraper.query("up"), scraper.last_error()) == (1, "")


FULL_PAGE = [
    "# HELP done_total How much is done.\n# TYPE done_total counter\ndone_total 1\n",
    '# HELP level How\\nhigh \\\\ it stands.\n# TYPE level gauge\nlevel{name="a\\"\\\\\\nb"} -Inf\n',
    "# HELP h A histogram.\n" + histogram_text({"0.1": 1, "1e9": 2, "+Inf": 3}, 2.5, 3),
    '# HELP s A summary.\n# TYPE s summary\ns{quantile="0.5"} 1\ns_sum 1\ns_count 1\n',
]


def check_metrics(promtool, page):
    return subprocess.run([promtool, "check", "metrics"], input=page, capture_output=True, text=True, timeout=60)


def test_promtool_finds_nothing_to_say_about_a_page_pushed_well(server, promtool):
    server.push_all(*FULL_PAGE, path="/metrics/job/a/dir@base64/L3Zhci90bXA")
    done = check_metrics(promtool, server.page())
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_promtool_can_read_a_page_pushed_without_care(server, promtool):
    server.push_all(
        "x 1\nx_total 2\n", '{"a.b",c="d"} NaN\n', "# TYPE camelCase gauge\ncamelCase 1\n", histogram_text({"1": 1})
    )
    done = check_metrics(promtool, server.page())
    # 3: it has advice.
    assert done.returncode == 3, done.stderr
    assert "error while linting" not in done.stdout + done.stderr
    assert "parsing" not in done.stdout + done.stderr


def test_promtool_can_read_catchments_own_metrics(server, promtool):
    server.push_all("x 1\n")
    done = check_metrics(promtool, server.get("/-/metrics")[1])
    assert done.returncode in (0, 3), done.stderr
    assert "error while linting" not in done.stdout + done.stderr
