"""A lock that says, once a minute, who holds it and since when; it dies with its holder."""

from __future__ import annotations

import fcntl
import os
import platform
import sys
import time
from contextlib import suppress

from harness.terminal import note

POLL_SECONDS = 0.1
SAY_SECONDS = 60.0
LONGEST = 1_000  # bytes of what is said of a holder


def take(lock: int, making: str) -> None:
    """Wait until the open file ``lock`` is this process's own, then write into it who we are."""
    said = begun = 0.0
    while not _free(lock):
        now = time.monotonic()
        begun = begun or now
        if not said or now - said >= SAY_SECONDS:
            said = now
            words = os.pread(lock, LONGEST, 0).decode(errors="replace").strip() or "unknown"
            note(f"waiting for process {words}, which makes {making} ({now - begun:.0f} s so far)")
        time.sleep(POLL_SECONDS)
    command = " ".join(["harness", *sys.argv[1:]])
    words = f"{os.getpid()} on {platform.node()} since {time.strftime('%F %T')} ({command})"
    with suppress(OSError):  # who holds it is only told to those who wait
        os.ftruncate(lock, 0)
        os.pwrite(lock, words.encode(errors="replace")[:LONGEST], 0)


def _free(lock: int) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
