"""One bad push harms nobody else: it is refused, the page stays as it was, byte for byte, and others push on."""

import pytest

from breakers import BREAKERS
from harness import samples, series, types

INNOCENT = "# HELP fine_total All is well.\n# TYPE fine_total counter\nfine_total 1\n"


@pytest.fixture
def busy(server):
    """A server that has something to lose."""
    server.push_all(INNOCENT, path="/metrics/job/x")
    server.push_all('# TYPE h2 histogram\nh2_bucket{le="1"} 1\nh2_sum 1\nh2_count 1\n')
    return server


@pytest.mark.parametrize("method", ["POST", "PUT"])
@pytest.mark.parametrize(("path", "body"), BREAKERS.values(), ids=BREAKERS.keys())
def test_a_breaker_is_refused_and_leaves_no_trace(busy, method, path, body):
    before = busy.page()
    # Twice: some need two to do their harm.
    for _ in range(2):
        status, answer = busy.push(body, "/metrics" + path, method)
        assert (status, answer.count("\n")) == (400, 1)
        assert "expected" in answer
    assert busy.page() == before

    busy.push_all(INNOCENT, path="/metrics/job/x", method=method)
    assert samples(busy.page()) == samples(before) | {series("fine_total", job="x"): 2}


def test_a_name_that_is_one_with_a_stored_one_after_escaping_is_refused(busy):
    for stored, other in (('{"z-z"} 1\n', '{"z_z"} 1\n'), ("y_y 1\n", '{"y.y"} 1\n')):
        busy.push_all(stored)
        before = busy.page()
        status, answer = busy.push(other)
        assert (status, busy.page()) == (400, before), answer
    names = {name for name, _ in samples(busy.page())}
    assert {"z_z", "y_y"} <= names


@pytest.mark.parametrize(
    "pushes", [['l{"a-b"="1"} 1\n', 'l{"a_b"="1"} 2\n'], ['l{"a-b"="1"} 1\nl{"a_b"="1"} 2\n']], ids=["two", "one"]
)
def test_series_that_are_one_after_escaping_are_never_both_shown(busy, pushes):
    accepted = sum(busy.push(text)[0] == 202 for text in pushes)
    # Refused or merged; `samples` fails if one is shown twice.
    shown = samples(busy.page()).get(series("l", a_b="1"))
    assert shown in {0: (None,), 1: (1, 3), 2: (3,)}[accepted]


def test_a_group_with_an_empty_label_is_the_group_without_it(server):
    server.push_all("x 1\n", path="/metrics/job/X")
    server.push_all("x 1\n", path="/metrics/job/X/instance@base64/=")
    server.push_all('x{instance=""} 1\n', path="/metrics/job/X")
    assert server.page() == '# TYPE x untyped\nx{job="X"} 3\n'


def test_one_series_by_an_empty_label_comes_twice(busy):
    before = busy.page()
    assert busy.push('x 1\nx{a=""} 1\n')[0] == 400
    assert busy.page() == before


def test_all_breakers_together_leave_an_empty_server_empty(server):
    for path, body in BREAKERS.values():
        assert server.push(body, "/metrics" + path)[0] == 400
    assert server.page() == ""
    # No name has been taken by a push that was refused.
    names = {"z": "gauge", "h": "counter", "a": "counter", "z_z": "gauge", "h_sum": "gauge"}
    server.push_all("".join(f"# TYPE {name} {kind}\n{name} 1\n" for name, kind in names.items()))
    assert types(server.page()) == names


def test_refused_pushes_are_always_answered(busy):
    """The answer must arrive even where the body was not worth reading."""
    body = b"fine_total 1\n" * 2000
    for _ in range(50):
        for path in ("/metrics/job/x/y/%FF", "/metrics/job"):
            assert busy.push(body, path)[0] == 400


def test_refusals_are_counted_by_reason(busy):
    busy.push("z 1\n", "/metrics/job/x/y/%FF")
    busy.push("?\n")
    for outcome, reason, count in (
        ("refused", "path", 1),
        ("refused", "malformed", 1),
        ("refused", "name_clash", 0),
        ("accepted", "accepted", 2),
    ):
        assert busy.own("catchment_pushes_total", outcome=outcome, reason=reason) == count
