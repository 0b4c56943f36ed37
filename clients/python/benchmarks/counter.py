"""What `Client.counter()` costs the caller's thread, while the client's own thread sends to a real server.

    python benchmarks/counter.py [path of the catchment binary]

It prints microseconds a call, in tight loops in which the client's thread wants the interpreter, too. The budget is for
the best round's wall time: what other rounds take longer is what else the machine does.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from pathlib import Path
from typing import Callable

from catchment import Client

BUDGET_MICROSECONDS = 3.0
ROUNDS = 5
CALLS = 200_000


def start_server(binary: str) -> tuple[subprocess.Popen[str], str]:
    """A server on a free port, and its URL."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("CATCHMENT_")}
    arguments = [binary, "--listen", "127.0.0.1:0"]
    server = subprocess.Popen(arguments, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert server.stdout is not None
    for line in server.stdout:
        found = re.search(r"listening: push.*?address.*?(127\.0\.0\.1:\d+)", re.sub(r"\x1b\[[0-9;]*m", "", line))
        if found:
            return server, f"http://{found[1]}"
    raise SystemExit("the server ended at once")


def measure(client: Client, call: Callable[[], None], pause: float) -> tuple[float, float, float]:
    """Microseconds a call: the least and the median of the rounds' wall times, and the median of the thread's own
    processor times."""
    rounds = []
    for _ in range(ROUNDS):
        client.flush(10.0)
        wall, own = time.perf_counter(), time.thread_time()
        for _ in range(CALLS):
            call()
        rounds.append((time.perf_counter() - wall, time.thread_time() - own))
        time.sleep(pause)
    walls, owns = sorted(wall for wall, _ in rounds), sorted(own for _, own in rounds)
    best, median, own = (seconds / CALLS * 1e6 for seconds in (walls[0], walls[ROUNDS // 2], owns[ROUNDS // 2]))
    return best, median, own


def main() -> int:
    """Measures, prints, and tells by the exit code whether the budget was kept."""
    repository = Path(__file__).resolve().parents[3]
    binary = sys.argv[1] if len(sys.argv) > 1 else str(repository / "target/release/catchment")
    server, url = start_server(binary)
    is_kept = True
    try:
        with Client(url, interval=0.05, max_queue=1_000_000) as client:
            labels = {"method": "GET", "path": "/checkout"}
            calls: dict[str, Callable[[], None]] = {
                "counter(name)": lambda: client.counter("bench_plain_total"),
                "counter(name, labels=…)": lambda: client.counter("bench_labels_total", labels=labels),
                "histogram(name, value)": lambda: client.histogram("bench_seconds", 0.2),
            }
            for name, call in calls.items():
                best, median, own = measure(client, call, 0.1)
                is_kept = is_kept and (best < BUDGET_MICROSECONDS or not name.startswith("counter"))
                print(f"{name:25}{best:6.2f} µs wall; median {median:.2f}, processor time of the thread {own:.2f}")
            print(f"dropped: {client.dropped}")
    finally:
        server.terminate()
        server.wait()
    print(f"budget of {BUDGET_MICROSECONDS} µs for counter(): {'kept' if is_kept else 'MISSED'}")
    return 0 if is_kept else 1


if __name__ == "__main__":
    sys.exit(main())
