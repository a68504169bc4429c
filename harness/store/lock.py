"""One process at a time in a folder that is being written, and no leftovers of killed ones."""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterator
from pathlib import Path

from harness.errors import DataError
from harness.store.files import unwritable

LOCK = ".lock"
_TEMPORARY = re.compile(r"\..+\.[0-9a-f]{16}")  # as files.write_whole calls them


@contextlib.contextmanager
def exclusive_lock(folder: Path) -> Iterator[None]:
    """Hold ``folder``, which is made where needed; the system frees the lock of a killed process.

    Raises:
        DataError: Another process holds it, or it cannot be written.
    """
    import fcntl

    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    except OSError as error:
        raise DataError(f"{unwritable(folder, error)}; name another folder") from error
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            text = f"another process is writing to {folder}; wait until it ends"
            raise DataError(text) from None
        for path in folder.rglob(".*"):
            if _TEMPORARY.fullmatch(path.name) and path.is_file():
                path.unlink(missing_ok=True)
        yield
    finally:
        os.close(lock)
