"""A log that a broken server cannot flood."""

from __future__ import annotations

import logging
import time

INTERVAL_SECONDS = 60.0


class QuietLog:
    """Warnings of which, of each kind, one a minute is logged, with the number of those in between."""

    def __init__(self, name: str) -> None:
        """Logs as the logger `name`."""
        self._logger = logging.getLogger(name)
        self._next: dict[str, float] = {}
        self._held_back: dict[str, int] = {}

    def warn(self, kind: str, message: str, *arguments: object) -> None:
        """Logs `message % arguments`, unless there was one of this kind within the last minute."""
        now = time.monotonic()
        if now < self._next.get(kind, 0.0):
            self._held_back[kind] = self._held_back.get(kind, 0) + 1
            return
        self._next[kind] = now + INTERVAL_SECONDS
        held_back = self._held_back.pop(kind, 0)
        if held_back:
            message, arguments = message + " (and %d like it)", (*arguments, held_back)
        self._logger.warning(message, *arguments)
