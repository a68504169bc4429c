"""One process at a time in a folder; others wait and print once a minute which one holds it.

The operating system frees the lock when its holder ends, even if it is killed. The lock file holds
its holder's pid, host, start time and command. The library filelock would replace only
``_acquire``: all else here is for the messages of waiting processes. Until version 4 it emptied
the file when it opened it, so they could not read who holds it.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import platform
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from harness.errors import HarnessError
from harness.store.files import unwritable
from harness.terminal import note

LOCK = ".lock"  # the lock file of a data folder
POLL_SECONDS = 0.1
REPORT_SECONDS = 60.0
MAX_BYTES = 1_000  # of the holder's description
# What flock says on a disk that has no locks: NFS without lockd, Lustre without -o flock.
_NO_LOCKS = frozenset({errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOTSUP})
_said = False


@contextlib.contextmanager
def exclusive_lock(path: Path, work: str) -> Iterator[None]:
    """Hold the lock file ``path``, which is made with its folder; wait if another process holds it.

    ``work`` completes "waiting for process ..., which", as in "makes the same stage". On a disk
    without locks nothing is held, and one line says so. Raises HarnessError if the disk is full or
    the folder cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    except OSError as error:
        raise HarnessError(unwritable(path, error)) from error
    try:
        _wait(lock, path, work)
        with contextlib.suppress(OSError):  # a full disk: the lock holds, only its text is missing
            os.ftruncate(lock, 0)
            os.pwrite(lock, _holder(), 0)
        yield
    finally:
        os.close(lock)


def _wait(lock: int, path: Path, work: str) -> None:
    start = time.monotonic()
    reported = -REPORT_SECONDS
    while not _acquire(lock, path):
        waited = time.monotonic() - start
        if waited - reported >= REPORT_SECONDS:
            reported = waited
            holder = os.pread(lock, MAX_BYTES, 0).decode(errors="replace").strip() or "unknown"
            note(f"waiting for process {holder}, which {work} ({waited:.0f} s so far)")
        time.sleep(POLL_SECONDS)


def _acquire(lock: int, path: Path) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:
        if error.errno not in _NO_LOCKS:
            raise HarnessError(f"cannot lock {path}: {error.strerror or error}") from error
        _say_unlocked(path.parent, error.strerror or str(error))
    return True


def met_no_locks() -> bool:
    """Return whether this process found a disk without locks: others may remove its files."""
    return _said


def _say_unlocked(folder: Path, why: str) -> None:
    global _said  # noqa: PLW0603 - once in a process: its folders share a disk
    if not _said:
        _said = True
        note(
            f"{folder} is on a disk without locks ({why}): two commands that need the same stage "
            "would both train it and remove each other's unfinished files; run one at a time, or "
            "let the disk lock (NFS: lockd; Lustre: -o flock)"
        )


def _holder() -> bytes:
    command = " ".join(["harness", *sys.argv[1:]])
    text = f"{os.getpid()} on {platform.node()} since {time.strftime('%F %T')} ({command})"
    return text.encode(errors="replace")[:MAX_BYTES]
