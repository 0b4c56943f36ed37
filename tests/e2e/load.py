"""What one process of the load test does: threads that push at random until time is up, and the tally of what was
acknowledged. Nothing here knows how Catchment merges; `expected_page` works it out from the tally alone."""

import base64
import collections
import contextlib
import dataclasses
import http.client
import random
import socket
import threading
import time

from harness import HOST, REQUEST_SECONDS, series

COUNTER = "load_requests_total"
UNTYPED = "load_events"
HISTOGRAM = "load_seconds"
SUMMARY = "load_bytes"
BALLAST = "load_ballast"

# A label value the random ones never are.
REFUSED = "refused"

# As they are on the page, and other ways to write them.
BOUNDS = {
    "0.25": ["0.25", "2.5e-1"],
    "1": ["1", "1.0", "1e0"],
    "5": ["5", "5.00"],
    "10": ["10", "1e1"],
    "+Inf": ["+Inf", "Inf"],
}
BOUND_SETS = [("1", "5", "+Inf"), ("0.25", "1", "10", "+Inf"), ("5", "+Inf"), ("+Inf",)]

TYPES = f"# TYPE {COUNTER} counter\n# TYPE {HISTOGRAM} histogram\n# TYPE {SUMMARY} summary\n"


def setup(ballast):
    """What is pushed before the load, so that its types are known and the page is not small; and its samples."""
    lines = [f'{BALLAST}{{number="{number}",padding="{"x" * 150}"}} {number}' for number in range(ballast)]
    found = {series(BALLAST, number=str(number), padding="x" * 150): number for number in range(ballast)}
    text = (
        f"{TYPES}# TYPE {BALLAST} gauge\n{COUNTER} 1\n{HISTOGRAM}_count 0\n{SUMMARY}_count 0\n"
        + "\n".join(lines)
        + "\n"
    )
    found |= {series(COUNTER): 1, series(HISTOGRAM + "_bucket", le="+Inf"): 0}
    found |= {series(HISTOGRAM + "_count"): 0, series(SUMMARY + "_count"): 0}
    return text, found


@dataclasses.dataclass
class Push:
    method: str
    path: str
    body: bytes
    # What it adds: counts by (kind, ...) keys, as in `Tally`.
    adds: dict
    status: int = 202
    # Whether the client goes away in the middle of the body.
    is_cut: bool = False


def written(labels, rng):
    """Labels in some order, with blanks here and there."""
    pairs = [f'{name}="{value}"' for name, value in labels]
    rng.shuffle(pairs)
    text = rng.choice([",", ", "]).join(pairs) + (rng.choice(["", ","]) if pairs else "")
    return f"{{{text}}}" if pairs or rng.random() < 0.5 else ""


def number(value, rng):
    return rng.choice([f"{value}", f"{value}.0", f"{value}e0"])


def random_push(rng):
    """A push that is fine."""
    job = rng.choice(["a", "b/c d"])
    path = rng.choice(["/metrics", "/aggregate/metrics"])
    by_path = rng.random() < 0.5
    if by_path:
        path += "/job@base64/" + base64.urlsafe_b64encode(job.encode()).decode().rstrip("=")
    lines, adds, seen = [TYPES], {}, set()
    for _ in range(rng.randint(1, 12)):
        kind = rng.choice([COUNTER, COUNTER, UNTYPED, HISTOGRAM, HISTOGRAM, SUMMARY])
        own = (("method", rng.choice(["get", "put"])), ("route", rng.choice("abcdef")))
        in_body = own if by_path else (*own, ("job", job))
        labels = tuple(sorted((*own, ("job", job))))
        if (kind, labels) in seen:
            continue
        seen.add((kind, labels))
        text = written(in_body, rng)
        if kind in (COUNTER, UNTYPED):
            value = rng.randint(0, 9)
            lines.append(f"{kind}{text} {number(value, rng)}\n")
            adds["number", kind, labels] = value
        elif kind == SUMMARY:
            total, count = rng.randint(0, 99), rng.randint(0, 9)
            lines.append(f"{kind}_sum{text} {total}\n{kind}_count{text} {number(count, rng)}\n")
            adds |= {("number", kind + "_sum", labels): total, ("number", kind + "_count", labels): count}
        else:
            total, bounds, count = rng.randint(0, 99), rng.choice(BOUND_SETS), 0
            parts = []
            for bound in bounds:
                count += rng.randint(0, 5)
                parts.append(
                    f"{kind}_bucket{written((*in_body, ('le', rng.choice(BOUNDS[bound]))), rng)} {number(count, rng)}\n"
                )
                adds["bucket", kind, labels, bounds, bound] = count
            adds |= {("number", kind + "_sum", labels): total, ("number", kind + "_count", labels): count}
            parts += [f"{kind}_sum{text} {total}\n", f"{kind}_count{text} {count}\n"]
            rng.shuffle(parts)
            lines += parts
    return Push(rng.choice(["POST", "PUT"]), path, "".join(lines).encode(), adds)


# What makes a push that is fine otherwise one that must be refused; each at its very end.
FAULTS = [
    b"load_requests_total{oops 1\n",
    b'load_requests_total{route="\xff"} 1\n',
    b"# TYPE load_ballast counter\nload_ballast 1\n",
    b'load_requests_total{route="refused"} -1\n',
    b"load_bytes_sum 1\nload_bytes_sum 1\n",
    b'load_seconds_bucket{route="refused",le="1"} 1\nload_seconds_bucket{le="1.0",route="refused"} 1\n',
    b"load_seconds_bucket 1\n",
    b"load_seconds 1\n",
]


def spoilt_push(rng):
    """A push that must be refused, or that never arrives in full."""
    push = dataclasses.replace(random_push(rng), adds={}, status=400)
    kind = rng.random()
    if kind < 0.05:
        return dataclasses.replace(push, is_cut=True)
    if kind < 0.15:
        return dataclasses.replace(push, path="/metrics/job")
    return dataclasses.replace(push, body=push.body + rng.choice(FAULTS))


class Report:
    """What a process saw."""

    def __init__(self):
        self.tally = collections.Counter()
        self.statuses = collections.Counter()
        self.surprises = []
        self.slowest = 0.0

    def merge(self, other):
        self.tally.update(other.tally)
        self.statuses.update(other.statuses)
        self.surprises += other.surprises
        self.slowest = max(self.slowest, other.slowest)


def push_until(deadline, port, rng, report):
    connection = http.client.HTTPConnection(HOST, port, timeout=REQUEST_SECONDS)
    with contextlib.closing(connection):
        while time.monotonic() < deadline:
            push = spoilt_push(rng) if rng.random() < 0.2 else random_push(rng)
            if push.is_cut:
                cut(push, port)
                continue
            began = time.monotonic()
            connection.request(push.method, push.path, push.body)
            response = connection.getresponse()
            answer = response.read()
            report.slowest = max(report.slowest, time.monotonic() - began)
            report.statuses[response.status] += 1
            if response.status == 202:
                report.tally.update(push.adds)
            if response.status != push.status:
                report.surprises.append((push, response.status, answer))


def cut(push, port):
    with socket.create_connection((HOST, port), timeout=REQUEST_SECONDS) as connection:
        head = f"{push.method} {push.path} HTTP/1.1\r\nHost: {HOST}\r\nContent-Length: {len(push.body) + 1}\r\n\r\n"
        connection.sendall(head.encode() + push.body)


def run(port, threads, seconds, seed):
    """Pushes from this process. Called in a process of its own."""
    deadline = time.monotonic() + seconds
    reports = [Report() for _ in range(threads)]

    def work(index):
        try:
            push_until(deadline, port, random.Random(f"{seed} {index}"), reports[index])
        except Exception as error:
            reports[index].surprises.append(repr(error))

    workers = [threading.Thread(target=work, args=(index,)) for index in range(threads)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    total = reports[0]
    for report in reports[1:]:
        total.merge(report)
    return total


def expected_page(tally):
    """The samples that the page has after what was acknowledged."""
    found, histograms = {}, collections.defaultdict(dict)
    for key, value in tally.items():
        if key[0] == "number":
            _, name, labels = key
            found[series(name, **dict(labels))] = value
        else:
            _, name, labels, bounds, bound = key
            histograms[name, labels].setdefault(bounds, {})[bound] = value
    for (name, labels), by_bounds in histograms.items():
        for bound in {bound for bounds in by_bounds for bound in bounds}:
            # Where a push had no such bound, what it counted below the next lower one is known to be there.
            counts = (step_at(counts, bound) for counts in by_bounds.values())
            found[series(name + "_bucket", le=bound, **dict(labels))] = sum(counts)
    return found


def step_at(counts, bound):
    below = [own for own in counts if float(own) <= float(bound)]
    return counts[max(below, key=float)] if below else 0
