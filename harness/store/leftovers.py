"""Removing the unfinished files of killed runs; files of running processes are left alone."""

from __future__ import annotations

import fcntl
import os
import re
import time
from contextlib import suppress
from pathlib import Path

# Younger files may belong to a process that has not locked them yet. Files of the future are no
# younger: the clock was set back.
OLD_SECONDS = 60.0
_TEMPORARY = re.compile(r"\..+\.[0-9a-f]{16}")  # the names that files.atomic_write chooses


def sweep_leftovers(home: Path) -> None:
    """Remove unfinished files under HOME/records and HOME/stages, of every record and stage.

    The name of an unfinished file begins with a dot. It is removed if its time is not within a
    minute of now and no process holds the lock on it or on its stage.
    """
    for folder in (home / "records", *_folders(home / "records")):
        for path in _unfinished(folder):
            _remove_unlocked(path, path)
    for folder in _folders(home / "stages"):
        for path in _unfinished(folder):
            _remove_unlocked(path, folder / "lock")


def remove_unfinished(folder: Path) -> None:
    """Remove what ``atomic_write`` left below a folder; only for the holder of its lock."""
    for path in folder.rglob(".*"):
        if _TEMPORARY.fullmatch(path.name) and path.is_file():
            path.unlink(missing_ok=True)


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
                and abs(time.time() - one.stat().st_mtime) > OLD_SECONDS
            ]
    except OSError:  # it may have been removed meanwhile
        return []


def _remove_unlocked(path: Path, lock: Path) -> None:
    with suppress(OSError):  # BlockingIOError: its writer is running
        descriptor = os.open(lock, os.O_RDWR | os.O_CREAT * (lock != path), 0o666)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            path.unlink()
        finally:
            os.close(descriptor)
