"""The one lock of all registries and collectors. It is held for a few steps at a time, never while anything is waited
for."""

from __future__ import annotations

import os
import threading

LOCK = threading.Lock()

# It is taken before a fork and given back after it on both sides, so that no child inherits a half-made change, or a
# lock that nobody holds any more.
if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=LOCK.acquire, after_in_parent=LOCK.release, after_in_child=LOCK.release)
