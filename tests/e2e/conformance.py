"""What the conformance cases are written in: requests with the answers they must get, and the page they must leave."""

import contextlib
import dataclasses
import json
import math
import shutil
import time

from harness import Process, Server, clean_environment, eventually, free_port, samples, series

# In place of a Unix time that is about now.
RECENT = "recent"
RECENT_SECONDS = 60
TIMES = ("push_time_seconds", "push_failure_time_seconds")
# Families of a gateway's own, which are no concern of these tests.
OWN = ("go_", "process_", "pushgateway_", "promhttp_")
SETTLED_SECONDS = 3
# The page of a gateway without groups.
NO_GROUPS = {}


def pushgateway_program():
    """The official Pushgateway, under Debian's name or its own."""
    return shutil.which("prometheus-pushgateway") or shutil.which("pushgateway")


class Pushgateway(Server):
    """A running official Pushgateway, which keeps nothing."""

    def __init__(self, program, *flags):
        self.port = free_port()
        arguments = [program, f"--web.listen-address={self.address}", "--persistence.file=", *flags]
        self.process = Process(arguments, clean_environment())
        eventually(lambda: self.process.has_ended() or self.is_ready(), "ready")
        assert not self.process.has_ended(), self.process.log()

    def version(self):
        status, answer = self.get("/api/v1/status")
        assert status == 200
        text = json.loads(answer)["data"]["build_information"]["version"]
        return tuple(int(part) for part in text.split(".")[:2])


@dataclasses.dataclass(frozen=True)
class Request:
    """A request, and what must be answered."""

    method: str
    path: str
    body: bytes = b""
    status: int = 200
    # A part of the answer.
    says: str = ""
    headers: dict = dataclasses.field(default_factory=dict)

    def send(self, server):
        status, _, answer = server.request(self.method, self.path, self.body or None, self.headers)
        where = f"{self.method} {self.path} {self.body!r}: {status} {answer!r}"
        assert status == self.status, where
        assert self.says in answer.decode(), where
        if status == 200 and self.path.startswith("/metrics/job"):
            assert answer == b"", where


def push(method, path, body, status=200, says="", **headers):
    """A push to a group. Headers are named in Python's manner."""
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    return Request(method, "/metrics" + path, body if isinstance(body, bytes) else body.encode(), status, says, sent)


def put(path, body, status=200, says="", **headers):
    return push("PUT", path, body, status, says, **headers)


def post(path, body, status=200, says="", **headers):
    return push("POST", path, body, status, says, **headers)


def delete(path, status=202, says=""):
    return push("DELETE", path, b"", status, says)


@dataclasses.dataclass(frozen=True)
class Case:
    """Requests, the whole page after them, and the types of some families."""

    requests: list
    # `None`: nothing but the times of groups, which may be there or not.
    page: dict | None
    types: dict = dataclasses.field(default_factory=dict)
    # The first version of the official Pushgateway that does so.
    since: tuple = (1, 5)


def case(*requests, page=NO_GROUPS, types=None, since=(1, 5)):
    return Case(requests, page, types or {}, since)


def group(text, times, **labels):
    """The samples of a group: those in `text` with the labels of the group, and its two times."""
    shown = samples(text) | {series(name): value for name, value in zip(TIMES, times)}
    return {
        series(name, **({"instance": ""} | dict(own) | labels)): readable(name, value)
        for (name, own), value in shown.items()
    }


def pushed(text="", **labels):
    """A group whose pushes were all taken."""
    return group(text, (RECENT, 0), **labels)


def refused(**labels):
    """A group that is only there because a push was refused."""
    return group("", (0, RECENT), **labels)


def pushed_and_refused(text="", **labels):
    """A group of which some push was taken, some refused."""
    return group(text, (RECENT, RECENT), **labels)


def readable(name, value):
    """A value that can be compared: NaN by its name, a time about now by `RECENT`."""
    if value == RECENT:
        return value
    if name in TIMES and abs(time.time() - value) < RECENT_SECONDS:
        return RECENT
    return "NaN" if math.isnan(value) else value


def page_of(server, own=OWN):
    """What was pushed, as it is on the page. Labels without a value are none, but for the instance."""
    found = {}
    for (name, labels), value in samples(server.page()).items():
        if not name.startswith(own):
            kept = {label: text for label, text in labels if text or label == "instance"}
            assert series(name, **kept) not in found, f"{name}{labels} is on the page twice"
            found[series(name, **kept)] = readable(name, value)
    return found


def settle(read, expected):
    """What `read` gives when it is as expected, or after some time: deletions may be on their way when answered."""
    with contextlib.suppress(AssertionError):
        eventually(lambda: read() == expected, "as expected", SETTLED_SECONDS)
    return read()
