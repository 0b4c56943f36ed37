"""Names and labels: which are allowed, and one form for each set of labels."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Optional

Labels = Optional[Mapping[str, object]]
"""Labels as callers give them. A value that is not a string is turned into one with `str`; None is for no labels."""

LabelKey = tuple[tuple[str, str], ...]
"""Labels in their one form: pairs of strings, sorted by name."""

METRIC_NAME = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*")
LABEL_NAME = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")


def freeze(labels: Labels) -> LabelKey:
    """The one form of labels, which later changes of the mapping do not touch."""
    if not labels:
        return ()
    return tuple(sorted((str(name), str(value)) for name, value in labels.items()))


def check_metric_name(name: str) -> None:
    """Raises ValueError if a family cannot be called that."""
    if not METRIC_NAME.fullmatch(name):
        raise ValueError(f"expected a metric name of letters, digits, _ and :, got {name!r}")


def check_label_name(name: str, reserved: tuple[str, ...] = ()) -> None:
    """Raises ValueError if a label cannot be called that, or the name is one of the `reserved` ones."""
    if not LABEL_NAME.fullmatch(name):
        raise ValueError(f"expected a label name of letters, digits and _, got {name!r}")
    if name.startswith("__"):
        raise ValueError(f"expected a label name that does not begin with __, got {name!r}")
    if name in reserved:
        raise ValueError(f"expected a label of the program's own, got {name!r}, which is reserved")
