"""Pushes with curl, as shell scripts do it."""

import subprocess

import pytest

from harness import histogram, histogram_text, samples, series, types


@pytest.fixture
def send(server, curl):
    """Pushes what `echo` writes, through a pipe; returns the status."""

    def run(text, path="/metrics/"):
        script = 'printf %s "$BODY" | "$CURL" --silent --show-error --write-out "%{http_code}" --data-binary @- "$URL"'
        variables = {"BODY": text, "CURL": curl, "URL": server.url + path}
        done = subprocess.run(["sh", "-c", script], env=variables, capture_output=True, text=True, timeout=30)
        assert (done.returncode, done.stderr) == (0, "")
        return done.stdout

    return run


def test_a_line_without_type_is_added_up(server, send):
    for _ in range(2):
        assert send('http_requests_total{method="post",code="200"} 1027\n') == "202"
    assert samples(server.page()) == {series("http_requests_total", method="post", code="200"): 2054}


CASES = {
    "histograms with other bounds are merged on the union of the bounds": (
        [histogram_text({"1": 1, "5": 3, "+Inf": 4}), histogram_text({"2": 2, "+Inf": 2})],
        histogram({"1": 1, "2": 3, "5": 5, "+Inf": 6}),
    ),
    "a histogram's highest count is carried forward": (
        [histogram_text({"1": 10, "+Inf": 10}, 5, 10), histogram_text({"2": 1, "+Inf": 1}, 1.5, 1)],
        histogram({"1": 10, "2": 11, "+Inf": 11}, 6.5, 11),
    ),
    "bounds are one bucket by value": (
        [
            histogram_text({"1": 1, "+Inf": 1}),
            histogram_text({"1.0": 1, "+Inf": 1}),
            histogram_text({"1e0": 1, "Inf": 1}),
        ],
        histogram({"1": 3, "+Inf": 3}),
    ),
    "the last gauge is shown": (
        ["# TYPE g gauge\ng 7\n", "# TYPE g gauge\ng -2.5\n"],
        {series("g"): -2.5},
    ),
    "a summary's sum and count are added and its quantiles dropped": (
        ['# TYPE s summary\ns{quantile="0.5"} 3\ns_sum 10\ns_count 4\n', "# TYPE s summary\ns_sum 2.5\ns_count 1\n"],
        {series("s_sum"): 12.5, series("s_count"): 5},
    ),
    "a counter is added up": (
        ["# TYPE c_total counter\nc_total 1\n", "# TYPE c_total counter\nc_total 0.5\n", "c_total 1\n"],
        {series("c_total"): 2.5},
    ),
}


@pytest.mark.parametrize(("pushes", "expected"), CASES.values(), ids=CASES.keys())
def test_merging(server, send, pushes, expected):
    for text in pushes:
        assert send(text) == "202"
    assert samples(server.page()) == expected


def test_a_type_settles_what_came_without_one(server, send):
    assert send("jobs_total 1\n") == "202"
    assert types(server.page()) == {"jobs_total": "untyped"}
    assert send("# TYPE jobs_total counter\njobs_total 2\n") == "202"
    page = server.page()
    assert (types(page), samples(page)) == ({"jobs_total": "counter"}, {series("jobs_total"): 3})


def test_both_addresses_of_the_door_are_one(server, send):
    for path in (
        "/metrics",
        "/metrics/",
        "/aggregate/metrics",
        "/aggregate/metrics/",
        "/metrics/job/j",
        "/aggregate/metrics/job/j",
    ):
        assert send("x 1\n", path) == "202"
    assert samples(server.page()) == {series("x"): 4, series("x", job="j"): 2}
