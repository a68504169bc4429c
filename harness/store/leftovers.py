"""Sweeping up what killed runs were writing; what a running process writes is left alone."""

from __future__ import annotations

import fcntl
import os
import time
from contextlib import suppress
from pathlib import Path

OLD_SECONDS = 60.0  # younger files may belong to a process that has not locked them yet


def sweep_leftovers(home: Path) -> None:
    """Remove unfinished files under HOME/records and HOME/stages, also of stages nobody asks for.

    Such a file begins with a dot. It goes if it is a minute old and its writer, who holds a lock on
    it or on its stage, is gone.
    """
    for folder in (home / "records", *_folders(home / "records")):
        for path in _unfinished(folder):
            _remove_unlocked(path, path)
    for folder in _folders(home / "stages"):
        for path in _unfinished(folder):
            _remove_unlocked(path, folder / "lock")


def _folders(parent: Path) -> list[Path]:
    try:
        with os.scandir(parent) as entries:
            return [Path(one.path) for one in entries if one.is_dir(follow_symlinks=False)]
    except OSError:
        return []


def _unfinished(folder: Path) -> list[Path]:
    try:
        with os.scandir(folder) as entries:
            return [
                Path(one.path)
                for one in entries
                if one.name.startswith(".")
                and one.is_file(follow_symlinks=False)
                and time.time() - one.stat().st_mtime > OLD_SECONDS
            ]
    except OSError:  # it may be gone by now
        return []


def _remove_unlocked(path: Path, lock: Path) -> None:
    with suppress(OSError):  # BlockingIOError: its writer lives
        descriptor = os.open(lock, os.O_RDWR | os.O_CREAT * (lock != path), 0o666)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            path.unlink()
        finally:
            os.close(descriptor)
