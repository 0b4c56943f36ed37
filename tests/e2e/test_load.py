"""Conservation under load: whatever many clients push at once, right or wrong, and whoever scrapes meanwhile, the page
is in the end exactly what was acknowledged. $E2E_LOAD_SECONDS and $E2E_SEED set how long, and the random numbers."""

import concurrent.futures
import multiprocessing
import os
import random
import threading

import load
from harness import samples, series, slow_scrape, types

SECONDS = float(os.environ.get("E2E_LOAD_SECONDS", "30"))
SEED = os.environ.get("E2E_SEED") or str(random.randrange(10**9))
PROCESSES = 4
THREADS = 16
# Series enough for a page that no socket buffers whole, so that its slow reader is waited for.
BALLAST = 40_000
PARSE_EVERY = 25
SLOW_BYTES_PER_SECOND = 10_000
FAMILIES = (load.COUNTER, load.UNTYPED, load.HISTOGRAM, load.SUMMARY)
WITHOUT_BALLAST = "/metrics?" + "&".join(f"name[]={name}" for name in FAMILIES)


def check_page(text, before):
    """A page in the middle of the load: nothing is half there, nothing falls. `before` is an earlier one."""
    page = samples(text)
    for (name, labels), value in page.items():
        if name == load.HISTOGRAM + "_bucket" and dict(labels)["le"] == "+Inf":
            without_le = tuple(label for label in labels if label[0] != "le")
            assert page[load.HISTOGRAM + "_count", without_le] == value, labels
    for key, value in before.items():
        if key[0].startswith(FAMILIES):
            assert page[key] >= value, key
    return page


def scrape_until(is_over, server):
    """Scrapes in a loop; parses a page now and then."""
    connection = server.connection()
    pages, before = 0, {}
    while not is_over.is_set():
        connection.request("GET", WITHOUT_BALLAST)
        response = connection.getresponse()
        text = response.read().decode()
        assert response.status == 200 and text.endswith("\n")
        if pages % PARSE_EVERY == 0:
            before = check_page(text, before)
        pages += 1
    connection.close()
    return pages


def scrape_slowly_until(is_over, server):
    """One scrape that takes as long as the load; its page is whole all the same."""
    response = slow_scrape(server.port)
    text = b""
    while not is_over.wait(0.1):
        text += response.read(SLOW_BYTES_PER_SECOND // 10)
    text += response.read()
    page = check_page(text.decode(), {})
    assert sum(name == load.BALLAST for name, _ in page) == BALLAST
    return 1


def push_from_everywhere(port):
    with concurrent.futures.ProcessPoolExecutor(PROCESSES, multiprocessing.get_context("spawn")) as pool:
        running = [pool.submit(load.run, port, THREADS, SECONDS, f"{SEED} {index}") for index in range(PROCESSES)]
        total = load.Report()
        for report in running:
            total.merge(report.result())
    return total


def test_what_was_acknowledged_is_what_is_scraped(start):
    server = start("--shards", "3")
    text, first = load.setup(BALLAST)
    server.push_all(text)
    is_over = threading.Event()
    with concurrent.futures.ThreadPoolExecutor(3) as pool:
        readers = [pool.submit(read, is_over, server) for read in (scrape_until, scrape_until, scrape_slowly_until)]
        try:
            report = push_from_everywhere(server.port)
            assert server.own("catchment_concurrent_scrapes") > 0, (
                "the slow reader was not slow enough to be waited for"
            )
        finally:
            is_over.set()
        pages = sum(reader.result() for reader in readers)
    print(f"seed {SEED}: {dict(report.statuses)} in {SECONDS} s, slowest {report.slowest:.3f} s, {pages} pages")

    assert not report.surprises, (SEED, len(report.surprises), report.surprises[:3])
    assert min(report.statuses[202], report.statuses[400], pages) > PROCESSES * THREADS
    page = server.page()
    expected = first | load.expected_page(report.tally)
    shown = samples(page)
    wrong = {
        key: (shown.get(key), expected.get(key))
        for key in shown.keys() | expected.keys()
        if shown.get(key) != expected.get(key)
    }
    assert not wrong, (SEED, len(wrong), list(wrong.items())[:5])
    assert types(page) == {
        load.BALLAST: "gauge",
        load.COUNTER: "counter",
        load.UNTYPED: "untyped",
        load.HISTOGRAM: "histogram",
        load.SUMMARY: "summary",
    }
    accepted = server.own("catchment_pushes_total", outcome="accepted", reason="accepted")
    assert accepted == report.statuses[202] + 1


def test_histograms_of_the_tally_are_merged_as_documented():
    """The test's own arithmetic."""
    few, many = ("1", "5", "+Inf"), ("5", "+Inf")
    tally = {("bucket", "h", (), few, bound): count for bound, count in zip(few, (1, 3, 4))}
    tally |= {("bucket", "h", (), many, bound): count for bound, count in zip(many, (2, 2))}
    assert load.expected_page(tally) == {
        series("h_bucket", le="1"): 1,
        series("h_bucket", le="5"): 5,
        series("h_bucket", le="+Inf"): 6,
    }


def test_many_first_pushes_of_one_family_make_one_family(start):
    """Every round starts with names nobody knows, pushed by all at once."""
    server = start("--shards", "3")
    rounds, threads = 20, 16
    barrier = threading.Barrier(threads)

    def work(index):
        connection = server.connection()
        statuses = []
        for number in range(rounds):
            kind = ("counter", "gauge")[index % 2]
            body = f"# TYPE race{number} {kind}\nrace{number} 1\n"
            barrier.wait(30)
            connection.request("POST", f"/metrics/kind/{kind}", body.encode())
            response = connection.getresponse()
            response.read()
            statuses.append((kind, response.status))
        connection.close()
        return statuses

    with concurrent.futures.ThreadPoolExecutor(threads) as pool:
        results = list(pool.map(work, range(threads)))
    page = server.page()
    shown, kinds = {key: value for key, value in samples_by_page_name(page)}, types(page)
    for number in range(rounds):
        statuses = [result[number] for result in results]
        winner = kinds[f"race{number}"]
        # All of one kind got in, none of the other.
        assert {status for kind, status in statuses if kind == winner} == {202}
        assert {status for kind, status in statuses if kind != winner} == {400}
        value = threads // 2 if winner == "counter" else 1
        assert shown[f'race{number}{{kind="{winner}"}}'] == value
    assert len(shown) == rounds


def samples_by_page_name(page):
    """Series as written; the parser would give counters another name."""
    for line in page.splitlines():
        if not line.startswith("#"):
            name, value = line.rsplit(" ", 1)
            yield name, float(value)
