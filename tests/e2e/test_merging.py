"""What other aggregating gateways are known to do, or to do wrong, with two pushes. Each case has an empty server."""

import pytest

from harness import samples, series, types

BOUNDS = ["1", "2", "3", "4", "5", "6", "7", "8", "9", "10", "+Inf"]


def measurements(gauge, counter, counts, total, braces=""):
    """A push of a gauge, a counter and a histogram whose count is always 1, whatever its buckets say."""
    buckets = [f'spread_bucket{{le="{bound}"}} {count}' for bound, count in zip(BOUNDS, counts, strict=True)]
    lines = [
        "# HELP level How high it stands.\n# TYPE level gauge",
        f"level {gauge}",
        "# HELP done How much is done.\n# TYPE done counter",
        f"done {counter}",
        "# HELP spread How it spreads.\n# TYPE spread histogram",
        *buckets,
        f"spread_sum{braces} {total}",
        f"spread_count{braces} 1",
    ]
    return "\n".join(lines) + "\n"


FIRST = measurements(42, 31, [0, 0, 3, 4, 4, 4, 4, 4, 4, 4, 4], 2.5, braces="{}")
SECOND = measurements(57, 29, [0, 0, 0, 4, 5, 5, 5, 5, 5, 5, 5], 4.5)
MERGED_COUNTS = [0, 0, 3, 8, 9, 9, 9, 9, 9, 9, 9]


def merged_measurements(gauge, group=""):
    """The page after both: buckets, sum and count are each added on their own."""
    labels = f"{{{group}}}" if group else ""
    before_le = f"{group}," if group else ""
    lines = ["# HELP done How much is done.", "# TYPE done counter", f"done{labels} 60"]
    lines += ["# HELP level How high it stands.", "# TYPE level gauge", f"level{labels} {gauge}"]
    lines += ["# HELP spread How it spreads.", "# TYPE spread histogram"]
    lines += [f'spread_bucket{{{before_le}le="{bound}"}} {count}' for bound, count in zip(BOUNDS, MERGED_COUNTS)]
    lines += [f"spread_sum{labels} 7", f"spread_count{labels} 2"]
    return "\n".join(lines) + "\n"


LOADED = """\
# HELP loaded What was loaded.
# TYPE loaded gauge
loaded{part="zoom",ok="true"} 1
loaded{part="Intro",ok="true"} 1
loaded{ok="true",part="main"} 1
"""


def page_of_loaded(value, group=""):
    lines = [f'loaded{{{group}ok="true",part="{part}"}} {value}' for part in ("Intro", "main", "zoom")]
    return "\n".join(["# HELP loaded What was loaded.", "# TYPE loaded gauge", *lines]) + "\n"


COUNTED = '# TYPE seen counter\nseen{{a="a",{space}b="b"}} {value}\n'
IN_ORDER = [COUNTED.format(space="", value=1), COUNTED.format(space=" ", value=2)]
REORDERED = ['# TYPE seen counter\nseen{a="a",b="b"} 1\n', '# TYPE seen counter\nseen{b="b",a="a"} 2\n']
PARTS = [
    '# TYPE broken counter\nbroken{path="/team/:id"} 1\nbroken{path="/user/:id"} 1\n',
    '# TYPE broken counter\nbroken{path="/user/:id"} 1\n',
]
TIMED = '# TYPE took_ms summary\ntook_ms_sum{a="a",b="b"} 12.25\ntook_ms_count{a="a",b="b"} 1.0\n'
TWICE = '# TYPE loaded gauge\nloaded{part="x",ok="true"} 15171\nloaded{ok="true",part="x"} 1\n'

SUM = ["--gauges", "sum"]
# Name: flags, path, pushes, whole page.
CASES = {
    "gauges are summed where asked for": (SUM, "", [LOADED, LOADED], page_of_loaded(2)),
    "gauges show the last value out of the box": ([], "", [LOADED, LOADED], page_of_loaded(1)),
    "gauges are summed below a path": (SUM, "/job/t", [LOADED, LOADED], page_of_loaded(2, 'job="t",')),
    "histograms need not agree with themselves, gauges 42 and 57 are 99": (
        SUM,
        "",
        [FIRST, SECOND],
        merged_measurements(99),
    ),
    "the same with the last gauge": ([], "", [FIRST, SECOND], merged_measurements(57)),
    "the same below a path": (SUM, "/job/t", [FIRST, SECOND], merged_measurements(99, 'job="t"')),
    "a blank after a comma means nothing": ([], "", IN_ORDER, '# TYPE seen counter\nseen{a="a",b="b"} 3\n'),
    "the order of labels means nothing": ([], "", REORDERED, '# TYPE seen counter\nseen{a="a",b="b"} 3\n'),
    "nor does it below a path": (
        [],
        "/job/t",
        REORDERED,
        '# TYPE seen counter\nseen{a="a",b="b",job="t"} 3\n',
    ),
    "what one push lacks is kept": (
        [],
        "",
        PARTS,
        '# TYPE broken counter\nbroken{path="/team/:id"} 1\nbroken{path="/user/:id"} 2\n',
    ),
    "whole numbers are printed whole": (
        [],
        "/job/t",
        [TIMED, TIMED],
        '# TYPE took_ms summary\ntook_ms_sum{a="a",b="b",job="t"} 24.5\ntook_ms_count{a="a",b="b",job="t"} 2\n',
    ),
    "path labels can be ignored": (
        ["--path-labels", "ignore"],
        "/job/t",
        REORDERED,
        '# TYPE seen counter\nseen{a="a",b="b"} 3\n',
    ),
    "summaries can be discarded": (["--summaries", "discard"], "", [TIMED, "x 1\n"], "# TYPE x untyped\nx 1\n"),
    "a value of minus infinity is one": ([], "", ["# TYPE g gauge\ng -Inf\n"], "# TYPE g gauge\ng -Inf\n"),
}


@pytest.mark.parametrize(("flags", "path", "pushes", "page"), CASES.values(), ids=CASES.keys())
def test_two_pushes_make_this_page(start, flags, path, pushes, page):
    server = start("--shards", "3", *flags)
    server.push_all(*pushes, path="/metrics" + path)
    assert server.page() == page


# Path, body, page.
PATHS = {
    "label pairs": ("/label1/value1/label2/value2", "c 1\n", 'c{label1="value1",label2="value2"} 1'),
    "a job": ("/job/someJob", "c 1\n", 'c{job="someJob"} 1'),
    "the old plural form": ("/jobs/a/instances/b", "c 1\n", 'c{instance="b",job="a"} 1'),
    "no labels": ("", "c 1\n", "c 1"),
    "no labels and a slash": ("/", "c 1\n", "c 1"),
    "blanks before the sample": ("/one/1/two/2", "  c 1\n", 'c{one="1",two="2"} 1'),
    "a path label that the body has as well": ("/job/path", 'c{job="body"} 1\n', 'c{job="path"} 1'),
    "percent encoding": ("/job/a%2Fb%20c", "c 1\n", 'c{job="a/b c"} 1'),
    "base64 with and without padding": ("/a@base64/YQ==/b@base64/YQ", "c 1\n", 'c{a="a",b="a"} 1'),
}


@pytest.mark.parametrize("method", ["PUT", "POST"])
@pytest.mark.parametrize(("path", "body", "sample"), PATHS.values(), ids=PATHS.keys())
def test_labels_of_the_path_are_added(server, method, path, body, sample):
    server.push_all(body, path="/metrics" + path, method=method)
    assert server.page() == f"# TYPE c untyped\n{sample}\n"


def test_paths_that_differ_in_order_give_one_series(server):
    server.push_all("c 1\n", path="/metrics/job/a/x/1")
    server.push_all("c 2\n", path="/metrics/x/1/job/a")
    server.push_all('c{x="1"} 4\n', path="/metrics/job/a")
    server.push_all('c{x="1",job="a"} 8\n')
    assert samples(server.page()) == {series("c", job="a", x="1"): 15}


@pytest.mark.parametrize("path", ["/metrics", "/metrics/job/t"])
def test_a_series_that_comes_twice_is_refused_and_nothing_applied(server, path):
    status, answer = server.push("innocent 1\n" + TWICE, path)
    assert status == 400
    assert "loaded{" in answer and 'part="x"' in answer and answer.count("\n") == 1
    assert server.page() == ""
    server.push_all("", path=path)
    assert server.page() == ""


def test_a_path_label_that_comes_twice_is_refused(server):
    assert server.push("c 1\n", "/metrics/testing/one/testing/two")[0] == 400
    assert server.page() == ""


# Each ends a push whose other families are fine.
CONFLICTS = {
    "another type": "# TYPE total gauge\ntotal 1\n",
    "a sample name of a known histogram": "# TYPE spread_count counter\nspread_count 1\n",
    "a histogram whose samples are known": "# TYPE known histogram\nknown_count 1\n",
    "a histogram's own name": "spread 1\n",
    "a counter that falls": "total -1\n",
    "a counter that is no number": "total NaN\n",
    "a bucket without its bound": "# TYPE spread histogram\nspread_bucket 1\n",
    "a sum twice": "spread_sum 1\nspread_sum 1\n",
    "a line that is none": "total\n",
    "another type in the same push": "# TYPE new_one gauge\n# TYPE new_one counter\nnew_one 1\n",
}


@pytest.mark.parametrize("last", CONFLICTS.values(), ids=CONFLICTS.keys())
def test_a_push_whose_last_family_conflicts_leaves_no_trace(server, last):
    server.push_all("# TYPE total counter\ntotal 5\n", FIRST, "known_count 3\n", "# HELP fresh first\n")
    before = server.page()
    fine = "# TYPE aaa counter\naaa 1\n# TYPE done counter\ndone 1\n# HELP total New help.\n" + TIMED + LOADED
    status, answer = server.push(fine + last)
    assert (status, answer.count("\n")) == (400, 1)
    assert answer.startswith("line ") and "expected" in answer
    assert server.page() == before
    # The families that were fine can still become anything.
    server.push_all("# TYPE aaa gauge\naaa 1\n", "# TYPE new_one gauge\nnew_one 1\n")
    assert types(server.page())["aaa"] == "gauge"


def test_minimum_maximum_and_mean_of_gauges(start):
    for policy, shown in (("min", 2), ("max", 9), ("mean", 5)):
        server = start("--gauges", policy)
        server.push_all(*(f"# TYPE g gauge\ng {value}\n" for value in (4, 9, 2)))
        assert samples(server.page()) == {series("g"): shown}
