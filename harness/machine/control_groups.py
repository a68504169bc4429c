"""The control groups of this process: what a container or a scheduler lets it have."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

OWN = Path("/proc/self/cgroup")
ROOT = Path("/sys/fs/cgroup")
# What a process has allocated, without the page cache, which can be freed.
ALLOCATED = re.compile(r"^(?:anon|total_rss) (\d+)$", re.MULTILINE)


def memory_files(version2: str, version1: str) -> Iterator[Path]:
    """Yield a file of each memory group that this process is in, by its name in either version.

    Innermost groups come first, the machine's or container's last; not every file exists.
    """
    try:
        groups = OWN.read_text().splitlines()
    except OSError:
        groups = []
    for line in [*groups, "0::/", "0:memory:/"]:  # "0::/path" in version 2, "5:memory:/path" in 1
        _, kinds, path = line.split(":", 2)
        if kinds and "memory" not in kinds.split(","):
            continue
        top, name = (ROOT / "memory", version1) if kinds else (ROOT, version2)
        inner = Path(path.lstrip("/"))
        for group in (inner, *inner.parents):
            yield top / group / name


def free_memory() -> int | None:
    """Return the bytes that the tightest of these groups leaves; None if none has a limit.

    A scheduler sets the limit of a job some levels above the process.
    """
    left = []
    for place in memory_files("memory.max", "memory.limit_in_bytes"):
        try:
            limit = int(place.read_text())
            allocated = ALLOCATED.search(place.with_name("memory.stat").read_text())
        except (OSError, ValueError):  # "max": it has none
            continue
        left.append(limit - (int(allocated[1]) if allocated else 0))
    return max(0, min(left)) if left else None
