"""The content of a file or a folder, independent of its path and time."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

from harness.errors import HarnessError

MAX_FILES = 10_000  # of a folder that a part reads
MAX_BYTES = 64 << 30


def content_of(path: Path) -> Any:
    """Return the name and the digest of a file, or of every file in a folder, as JSON values.

    Raises HarnessError if ``path`` is missing, cannot be read, is neither a file nor a folder, or
    holds more than ``MAX_FILES`` files or ``MAX_BYTES`` bytes.
    """
    try:
        if not path.is_dir():
            return {"file": [path.name, file_digest(path)]}
        names = sorted(_names(path))
        if sum((path / name).stat().st_size for name in names) > MAX_BYTES:
            raise HarnessError(
                f"{path} holds more than {MAX_BYTES >> 30} GiB; name only the files that are read"
            )
        return {"folder": [path.name, [[name, file_digest(path / name)] for name in names]]}
    except OSError as error:
        reason = error.strerror or str(error)
        raise HarnessError(f"{error.filename or path} cannot be read: {reason}") from error


def file_digest(path: Path) -> str:
    """Return the sha256 of a file; it is read again if its inode, size or time has changed.

    Raises OSError if it cannot be read, HarnessError if it is a pipe, a device or the like.
    """
    about = path.stat()
    if not stat.S_ISREG(about.st_mode):
        raise HarnessError(f"{path} is neither a file nor a folder")
    return _digest(path, about.st_dev, about.st_ino, about.st_size, about.st_mtime_ns)


@cache
def _digest(path: Path, *_state: int) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()


def _names(root: Path) -> Iterator[str]:
    """Yield the names of all files below ``root``, relative to it."""
    count = 0
    for place, folders, files in os.walk(root, onerror=_refuse):
        folder = Path(place)
        for name in folders:
            if (folder / name).is_symlink():
                raise HarnessError(f"{folder / name} is a link; put the folder itself there")
        count += len(files)
        if count > MAX_FILES:
            raise HarnessError(
                f"{root} holds more than {MAX_FILES:,} files; name only those that are read"
            )
        yield from ((folder / name).relative_to(root).as_posix() for name in files)


def _refuse(error: OSError) -> None:
    raise error
