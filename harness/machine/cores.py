"""How many processor cores this process may use."""

from __future__ import annotations

import os


def cores() -> int:
    """Return the cores that the process is allowed, where the system tells; else all of them."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
