"""Scrapes whose readers are slow, stall or leave: they harm themselves at most."""

import http.client
import time

import pytest

from harness import eventually, push_big_page, samples, series, slow_scrape


def streamed(server):
    return server.own("catchment_concurrent_scrapes")


def test_a_stalled_reader_stalls_no_push_and_no_other_scrape(start):
    server = start("--shards", "3")
    lines = push_big_page(server)
    stalled = [slow_scrape(server.port) for _ in range(3)]
    slowest = 0.0
    for _ in range(200):
        began = time.monotonic()
        server.push_all("# TYPE steady_total counter\nsteady_total 1\n")
        slowest = max(slowest, time.monotonic() - began)
    assert slowest < 2
    assert samples(server.get("/metrics?name[]=steady_total")[1]) == {series("steady_total"): 200}
    eventually(lambda: streamed(server) == len(stalled), "only the stalled ones are left")
    for scrape in stalled:
        assert scrape.read().count(b"\n") >= lines


def test_a_reader_that_stalls_is_cut_off_and_does_not_take_the_rest_for_the_whole(start):
    server = start("--scrape-stall-timeout", "1s")
    push_big_page(server)
    scrape = slow_scrape(server.port)
    eventually(lambda: streamed(server) == 0, "cut off")
    assert server.own("catchment_scrapes_total", outcome="broken") == 1
    with pytest.raises((http.client.IncompleteRead, ConnectionError)):
        scrape.read()


def test_a_reader_that_is_slow_but_steady_is_not_cut_off(start):
    """100 kB/s, three times as long as a reader may read nothing."""
    server = start("--scrape-stall-timeout", "4s")
    lines = push_big_page(server)
    scrape = slow_scrape(server.port)
    page = b""
    for _ in range(120):
        page += scrape.read(10_000)
        time.sleep(0.1)
    assert server.own("catchment_scrapes_total", outcome="broken") == 0
    page += scrape.read()
    assert page.count(b"\n") == lines


def test_a_reader_that_leaves_is_forgotten(server):
    push_big_page(server)
    scrape = slow_scrape(server.port)
    assert streamed(server) == 1
    scrape.close()
    eventually(lambda: streamed(server) == 0, "forgotten")


def test_too_many_scrapes_are_refused_until_one_ends(start):
    server = start("--max-scrapes", "2")
    lines = push_big_page(server)
    scrapes = [slow_scrape(server.port) for _ in range(2)]
    status, headers, _ = server.request("GET", "/metrics")
    assert (status, headers["Retry-After"]) == (503, "1")
    server.push_all("x 1\n")
    for scrape in scrapes:
        assert scrape.read().count(b"\n") >= lines
    eventually(lambda: server.get("/metrics")[0] == 200, "a place is free")


@pytest.mark.parametrize(
    ("query", "names"),
    [
        ("name[]=a", {"a"}),
        ("name%5B%5D=a&name[]=c.d", {"a", "c_d"}),
        ("name[]=none", set()),
        ("x=y", {"a", "b", "c_d"}),
    ],
)
def test_families_can_be_selected(server, query, names):
    server.push_all('a 1\nb 1\n{"c.d"} 1\n')
    status, page = server.get("/metrics?" + query)
    assert (status, {name for name, _ in samples(page)}) == (200, names)
