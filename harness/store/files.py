"""Files are written whole or not at all: temporary file, fsync, rename."""

from __future__ import annotations

import errno
import fcntl
import io
import os
import secrets
import stat
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import IO, Any, cast

from harness.errors import HarnessError

MAX_LINKS = 40  # that Linux follows
FULL = frozenset({errno.ENOSPC, errno.EDQUOT})


def atomic_write(path: Path, write: Callable[[IO[bytes]], object]) -> None:
    """Let ``write`` fill a temporary file beside ``path``, then put it in place.

    Raises HarnessError if the disk is full or the folder cannot be written; an earlier file at
    ``path`` is then unchanged.
    A device, a pipe or ``/dev/stdout`` is written to directly.
    """
    try:
        if _is_stream(path):
            _write_directly(path, write)
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        # Not tempfile: only the owner could read its files.
        temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
        try:
            with temporary.open("xb") as file:
                with suppress(OSError):  # marks the file as in use for sweep_leftovers
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                _write_through(file, write)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(path)
            sync_folder(path.parent)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
    except OSError as error:
        raise HarnessError(unwritable(path, error)) from error


def _is_stream(path: Path) -> bool:
    """Return whether a path leads to a device or pipe, or to what this process has open.

    As root, a rename over it would replace the device for all processes. ``/dev/stdout`` is such a
    path even if it leads to a regular file.
    """
    try:
        mode = path.stat().st_mode
    except OSError:
        return False
    if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
        return True
    if _own_descriptor(path) is not None:
        return True
    place = path.parent.resolve() / path.name
    target = place.parent / place.readlink() if place.is_symlink() else place
    return place.is_relative_to("/proc") or target.is_relative_to("/proc")


def _own_descriptor(path: Path) -> int | None:
    """Return which of this process's open files a path is another name of, as /dev/stdout is."""
    for _ in range(MAX_LINKS):
        path = path.parent.resolve() / path.name
        if path.parent == Path(f"/proc/{os.getpid()}/fd"):
            return int(path.name)
        if not path.is_symlink():
            return None
        path = path.parent / path.readlink()
    return None


def _write_directly(path: Path, write: Callable[[IO[bytes]], object]) -> None:
    content = io.BytesIO()
    write(content)
    own = _own_descriptor(path)
    if own is not None:
        # Opened again, a file has a second position, and the two writers overwrite each other.
        for stream in (sys.stdout, sys.stderr):
            stream.flush()  # what was printed before
        descriptor = os.dup(own)
    else:
        # Opening a pipe that has no reader would wait for one.
        descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_NONBLOCK)
        os.set_blocking(descriptor, True)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content.getbuffer())


class _Watched:
    """A file that remembers its first error of writing."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self.error: OSError | None = None

    def write(self, data: bytes) -> int:
        try:
            return self._file.write(data)
        except OSError as error:
            self.error = self.error or error
            raise

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)


def _write_through(file: IO[bytes], write: Callable[[IO[bytes]], object]) -> None:
    watched = _Watched(file)
    try:
        write(cast("IO[bytes]", watched))
    except Exception:
        # If the disk is full, torch raises an error that does not mention it.
        if watched.error is not None:
            raise watched.error from None
        raise


def write_text(path: Path, text: str) -> None:
    """Write ``text`` as UTF-8, whole or not at all."""
    atomic_write(path, lambda file: file.write(text.encode()))


def sync_folder(folder: Path) -> None:
    """Make a rename inside ``folder`` survive a power failure."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def unwritable(path: Path | str, error: OSError) -> str:
    """Return a line on why ``path`` could not be written and what to do."""
    if error.errno in FULL:
        return (
            f"cannot write {path}: the disk is full; free some room there, or choose another "
            "folder with HARNESS_HOME, and start the same command again"
        )
    return f"cannot write {path}: {error.strerror or error}"
