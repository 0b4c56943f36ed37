"""Pushes a registry, by whichever door.

What a pushed value means is the door's matter:

- `"aggregate"`: an increment since the last push. A registry that lives on and is pushed again counts twice: use it
  once, at the end of a job, or use `catchment.Client`.
- `"source"`: this program's running value. Push the registry as often as you like, under a grouping key that no other
  process has; `catchment.multiprocess` does it by itself.
- `"replace"`: what to show, as with the Pushgateway.

None is for the door that the server has for `/metrics`.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Optional
from urllib.parse import quote

from catchment._labels import check_label_name
from catchment.formats import PrometheusFormat, TextFormat
from catchment.registry import Registry
from catchment.transport import Transport, check_url

DOORS = ("aggregate", "source", "replace")

GroupingKey = Mapping[str, str]
"""Labels of the push's path, `job` among them. Who pushes, by the source and replace doors; by the aggregate door they
are added to every series, and there may be none."""


def push(
    url: str,
    registry: Registry,
    grouping_key: GroupingKey,
    *,
    door: Optional[str] = None,
    format: Optional[PrometheusFormat] = None,
    lifetime: Optional[float] = None,
    transport: Optional[Transport] = None,
) -> None:
    """Pushes a registry with PUT: by the replace door it replaces all of its group.

    `url` is the server's, such as `http://localhost:9091`. `format` is text where it is None. What the push touches
    lives for `lifetime` seconds after it; None is for what the server has set. `transport` tells timeouts, tries and
    credentials.

    Raises PushError if it is not accepted, ValueError for a bad URL, door or label name.
    """
    _push("PUT", url, registry, grouping_key, door, format, lifetime, transport)


def push_add(
    url: str,
    registry: Registry,
    grouping_key: GroupingKey,
    *,
    door: Optional[str] = None,
    format: Optional[PrometheusFormat] = None,
    lifetime: Optional[float] = None,
    transport: Optional[Transport] = None,
) -> None:
    """Pushes a registry with POST: by the replace door it replaces families of the same names, and by the others there
    is no difference to `push`, whose arguments and errors it has."""
    _push("POST", url, registry, grouping_key, door, format, lifetime, transport)


def delete(
    url: str, grouping_key: GroupingKey, *, door: Optional[str] = None, transport: Optional[Transport] = None
) -> None:
    """Deletes by grouping key: the group by the replace door; by the source door the source, whose counts stay and
    whose gauges leave; by the aggregate door every aggregated series with these labels.

    Raises PushError if it is not accepted, ValueError for a bad URL, door or label name.
    """
    (transport or Transport()).send("DELETE", push_url(url, grouping_key, door))


def push_url(url: str, grouping_key: GroupingKey, door: Optional[str] = None) -> str:
    """Where pushes with this grouping key go. Raises ValueError for a bad URL, door or label name."""
    if door is not None and door not in DOORS:
        raise ValueError(f"expected a door of {', '.join(DOORS)} or None, got {door!r}")
    base = check_url(url) + (f"/{door}" if door else "") + "/metrics"
    # The job is first, as the Pushgateway demands.
    names = sorted(grouping_key, key=lambda name: (name != "job", name))
    return base + "".join(_path_label(name, grouping_key[name]) for name in names)


def _path_label(name: str, value: str) -> str:
    check_label_name(name)
    if value == "":
        return f"/{name}@base64/="
    # These would not outlive a proxy that tidies paths.
    if "/" in value or value in (".", ".."):
        return f"/{name}@base64/{base64.urlsafe_b64encode(value.encode()).decode()}"
    return f"/{name}/{quote(value, safe='')}"


def _push(
    method: str,
    url: str,
    registry: Registry,
    grouping_key: GroupingKey,
    door: Optional[str],
    format: Optional[PrometheusFormat],
    lifetime: Optional[float],
    transport: Optional[Transport],
) -> None:
    address = push_url(url, grouping_key, door)
    format = format or TextFormat()
    headers = format.get_headers()
    if lifetime is not None:
        headers["Catchment-TTL"] = f"{round(lifetime * 1000)}ms"
    page = format.marshall(registry)
    body = page.encode() if isinstance(page, str) else page
    (transport or Transport()).send(method, address, body, headers)
