"""Pushes from browsers: the preflight, then the push."""

import pytest

GOOD = "https://good.example"
OTHER = "https://other.example"


def preflight(server, origin, headers="content-type"):
    asked = {
        "Origin": origin,
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": headers,
    }
    status, answer, _ = server.request("OPTIONS", "/metrics/job/page", headers=asked)
    return status, answer


def push(server, origin):
    return server.request(
        "POST", "/metrics/job/page", b"clicks_total 1\n", {"Origin": origin, "Content-Type": "text/plain"}
    )


def listed(header):
    return {word.strip().lower() for word in (header or "").split(",")}


@pytest.mark.parametrize(("flags", "allowed"), [([], "*"), (["--cors-origin", GOOD], GOOD)], ids=["any", "listed"])
def test_a_page_of_an_allowed_origin_can_push(start, flags, allowed):
    server = start(*flags)
    status, answer = preflight(server, GOOD, "content-type, x-own")
    assert 200 <= status < 300
    assert answer["Access-Control-Allow-Origin"] == allowed
    assert {"post", "put"} <= listed(answer["Access-Control-Allow-Methods"])
    assert {"content-type", "x-own"} <= listed(answer["Access-Control-Allow-Headers"])

    status, answer, _ = push(server, GOOD)
    assert (status, answer["Access-Control-Allow-Origin"]) == (202, allowed)
    assert server.page() == '# TYPE clicks_total untyped\nclicks_total{job="page"} 1\n'


def test_a_refusal_can_be_read_by_the_page_as_well(server):
    status, answer, body = server.request("POST", "/metrics", b"?\n", {"Origin": GOOD})
    assert (status, answer["Access-Control-Allow-Origin"]) == (400, "*")
    assert body.startswith(b"line 1: expected")


@pytest.mark.parametrize("origins", [["--cors-origin", GOOD], ["--cors-origin", "none"]], ids=["listed", "none"])
def test_another_origin_is_not_allowed(start, origins):
    server = start(*origins)
    status, answer = preflight(server, OTHER)
    assert answer["Access-Control-Allow-Origin"] is None
    assert status >= 400
    _, answer, _ = push(server, OTHER)
    assert answer["Access-Control-Allow-Origin"] is None


def test_several_origins_can_be_listed(start):
    server = start("--cors-origin", GOOD, "--cors-origin", OTHER)
    for origin in (GOOD, OTHER):
        status, answer = preflight(server, origin)
        assert (status, answer["Access-Control-Allow-Origin"]) == (200, origin)


def test_programs_that_are_no_browsers_need_no_origin(start):
    server = start("--cors-origin", GOOD)
    server.push_all("x 1\n")
    assert "x 1\n" in server.page()
