"""A fleet of workers on the `source` door: they push running totals, die, and start again from nothing. What the page
counts never falls, and in the end is what the fleet did. $E2E_FLEET_SECONDS sets how long, $E2E_SEED the random
numbers."""

import collections
import concurrent.futures
import contextlib
import itertools
import os
import random
import threading
import time

from conformance import settle
from harness import eventually, samples, series

SECONDS = float(os.environ.get("E2E_FLEET_SECONDS", "10"))
SEED = os.environ.get("E2E_SEED") or str(random.randrange(10**9))
WORKERS = 200
THREADS = 16
DYING = 1 / 3
# So that a life is always longer than the first push of the next one.
PUSHES_OF_A_LIFE = 2

BOUNDS = (0.25, 1, 4)
CODES = ("200", "404", "500")
ZONES = ("a", "b", "c")
BEGAN = 1_700_000_000

# How a worker that starts again is told from one that goes on.
BY_PATH, BY_CREATED, BY_VALUE = HOWS = ("another instance", "a newer created timestamp", "a lower value")
OPENMETRICS = {"Content-Type": "application/openmetrics-text; version=1.0.0"}


class Totals(collections.Counter):
    """What a worker did since it was started, or what all did: a number for each sample but the gauge."""

    def request(self, code, count):
        self["fleet_requests_total", (("code", code),)] += count

    def observe(self, seconds):
        self["fleet_seconds_sum", ()] += seconds
        self["fleet_seconds_count", ()] += 1
        for bound in (*BOUNDS, float("inf")):
            # Buckets that count nothing are pushed as well.
            self["fleet_seconds_bucket", (("le", label(bound)),)] += seconds <= bound


def label(bound):
    return "+Inf" if bound == float("inf") else str(bound)


class Worker:
    """A worker that never ends, in many lives."""

    def __init__(self, number, rng):
        self.rng = rng
        self.number = number
        self.how = HOWS[number % len(HOWS)]
        self.zone = ZONES[number // len(HOWS) % len(ZONES)]
        self.life = 0
        self.pushes = 0
        self.now = Totals()
        self.queue = 0
        # Of all lives.
        self.done = Totals()

    def path(self):
        life = f"-{self.life}" if self.how == BY_PATH else ""
        return f"/source/metrics/job/fleet/instance/{self.number}{life}"

    def work(self, least=1, most=9):
        """Something of everything, so that every number grows."""
        step = Totals()
        for code in CODES:
            step.request(code, self.rng.randint(least, most))
        for _ in range(self.rng.randint(least, most)):
            # Parts of two, whose sums are exact.
            step.observe(self.rng.randint(1, 40) / 8)
        self.queue = self.rng.randint(0, 50)
        self.now.update(step)
        self.done.update(step)

    def start_again(self):
        counted = max(self.now[key] for key in self.now if key[0] != "fleet_seconds_sum")
        self.life += 1
        self.pushes = 0
        self.now = Totals()
        if self.how == BY_CREATED:
            # By its values alone it might have gone on.
            self.work(counted, counted + 9)
        else:
            self.work(1, 1)

    def headers(self):
        return OPENMETRICS if self.how == BY_CREATED else {}

    def body(self):
        is_openmetrics = self.how == BY_CREATED
        counter = "fleet_requests" if is_openmetrics else "fleet_requests_total"
        heads = {
            "fleet_requests_total": f"# TYPE {counter} counter\n",
            "fleet_seconds_sum": "# TYPE fleet_seconds histogram\n",
        }
        lines = [f'# TYPE fleet_queue gauge\nfleet_queue{{zone="{self.zone}"}} {self.queue}\n']
        for name, of_name in itertools.groupby(self.now.items(), key=lambda item: item[0][0]):
            lines.append(heads.get(name, ""))
            for (_, labels), value in of_name:
                pairs = ",".join(f'{label}="{text}"' for label, text in (("zone", self.zone), *labels))
                lines.append(f"{name}{{{pairs}}} {value}\n")
                if is_openmetrics and name == "fleet_requests_total":
                    lines.append(f"fleet_requests_created{{{pairs}}} {BEGAN + self.life}\n")
        if is_openmetrics:
            lines.append(f'fleet_seconds_created{{zone="{self.zone}"}} {BEGAN + self.life}\n# EOF\n')
        return "".join(lines).encode()


class Crew:
    """The workers of one thread, and what it saw."""

    def __init__(self, index):
        self.rng = random.Random(f"{SEED} {index}")
        self.workers = [Worker(number, self.rng) for number in range(index, WORKERS, THREADS)]
        # The last gauge of every source that was not deleted.
        self.queues = {}
        self.restarts = collections.Counter()
        self.pushes = 0

    def run(self, server, deadline):
        next_deaths = time.monotonic() + self.rng.random()
        dying = set()
        with contextlib.closing(server.connection()) as connection:
            while time.monotonic() < deadline:
                if time.monotonic() > next_deaths:
                    dying |= set(self.rng.sample(self.workers, round(len(self.workers) * DYING)))
                    next_deaths += 1
                for worker in self.workers:
                    if worker in dying and worker.pushes >= PUSHES_OF_A_LIFE:
                        dying.remove(worker)
                        self.end_life(connection, worker)
                        worker.start_again()
                        self.restarts[worker.how] += 1
                    else:
                        worker.work()
                    self.push(connection, worker)

    def push(self, connection, worker):
        assert (
            ask(connection, worker.rng.choice(["POST", "PUT"]), worker.path(), worker.body(), worker.headers()) == 202
        )
        worker.pushes += 1
        self.pushes += 1
        self.queues[worker.path()] = worker.zone, worker.queue

    def end_life(self, connection, worker):
        """Some say that they end."""
        if worker.how == BY_PATH and worker.rng.random() < 0.5:
            assert ask(connection, "DELETE", worker.path()) == 202
            del self.queues[worker.path()]


def ask(connection, method, path, body=None, headers=None):
    connection.request(method, path, body, headers or {})
    response = connection.getresponse()
    answer = response.read()
    assert response.status < 300, (method, path, body, response.status, answer)
    return response.status


def check_page(text, before):
    """A page in between: whole, and nothing fell since `before`."""
    page = samples(text)
    for key, value in before.items():
        assert key[0] == "fleet_queue" or page[key] >= value, (SEED, key, value, page[key])
    for (name, labels), value in page.items():
        if name == "fleet_seconds_count":
            infinite = tuple(sorted((*labels, ("le", "+Inf"))))
            assert page["fleet_seconds_bucket", infinite] == value, (SEED, labels)
    return page


def scrape_until(is_over, server):
    pages, before = 0, {}
    with contextlib.closing(server.connection()) as connection:
        while not is_over.is_set():
            connection.request("GET", "/metrics")
            response = connection.getresponse()
            text = response.read().decode()
            assert response.status == 200
            before = check_page(text, before)
            pages += 1
    return pages


def expected_page(crews):
    found = collections.Counter()
    for crew in crews:
        for worker in crew.workers:
            for (name, labels), value in worker.done.items():
                found[series(name, zone=worker.zone, **dict(labels))] += value
        for zone, queue in crew.queues.values():
            found[series("fleet_queue", zone=zone)] += queue
    return dict(found)


def test_what_a_fleet_did_is_what_is_scraped(start):
    server = start("--shards", "3")
    crews = [Crew(index) for index in range(THREADS)]
    deadline = time.monotonic() + SECONDS
    is_over = threading.Event()
    with concurrent.futures.ThreadPoolExecutor(THREADS + 1) as pool:
        scraping = pool.submit(scrape_until, is_over, server)
        try:
            for running in [pool.submit(crew.run, server, deadline) for crew in crews]:
                running.result()
        finally:
            is_over.set()
        pages = scraping.result()
    restarts = sum((crew.restarts for crew in crews), collections.Counter())
    print(f"seed {SEED}: {sum(crew.pushes for crew in crews)} pushes, {dict(restarts)}, {pages} pages")

    assert pages > SECONDS and all(restarts[how] > WORKERS / len(HOWS) / 2 for how in HOWS), (restarts, pages)
    expected = expected_page(crews)
    shown = settle(lambda: samples(server.page()), expected)
    wrong = {
        key: (shown.get(key), expected.get(key))
        for key in shown.keys() | expected.keys()
        if shown.get(key) != expected.get(key)
    }
    assert not wrong, (SEED, len(wrong), list(wrong.items())[:5])


def test_workers_that_are_gone_leave_what_they_counted(start):
    server = start("--shards", "3", "--source-ttl", "1s")
    crew = Crew(0)
    with contextlib.closing(server.connection()) as connection:
        for worker in crew.workers:
            worker.work()
            crew.push(connection, worker)
        counted = {key: value for key, value in expected_page([crew]).items() if key[0] != "fleet_queue"}
        eventually(lambda: samples(server.page()) == counted, "their gauges are gone, and nothing else")
        # The next ones are added to what the others left.
        for worker in crew.workers:
            worker.number += WORKERS
            worker.start_again()
            crew.push(connection, worker)
    for key, value in expected_page([crew]).items():
        assert key[0] == "fleet_queue" or samples(server.page())[key] == value
