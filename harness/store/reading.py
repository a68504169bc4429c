"""Read whole plain files; reading is tried again after an error that may be temporary.

A network file system that is away for a second, or too many open files, is not evidence about a
file's content. These functions return the bytes, or raise an OSError that the file itself causes
(it is missing, a folder, a pipe, too large), or end the run with a HarnessError.
"""

from __future__ import annotations

import errno
import os
import stat
import time
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn, TypeVar

from harness.errors import HarnessError
from harness.terminal import note, visible

WAITS = (0.1, 0.4, 1.5, 4.0)  # seconds before each further try
SAY_EVERY = 60.0  # seconds: eight threads that wait for one server print one line

# Permanent errors of this file: it is missing, or is not a file of a sensible size.
PROVEN = frozenset(
    {
        *(errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.ELOOP, errno.ENAMETOOLONG),
        *(errno.EINVAL, errno.ENXIO, errno.ENODEV, errno.EFBIG),
    }
)
# Errors that may be temporary.
PASSING = frozenset(
    {
        *(errno.EIO, errno.ESTALE, errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EAGAIN),
        *(errno.ETIMEDOUT, errno.ENETDOWN, errno.ENETUNREACH, errno.EHOSTDOWN, errno.EHOSTUNREACH),
        *(errno.ENOTCONN, errno.ECONNRESET, errno.EREMOTEIO),
    }
)
_LASTING = frozenset({errno.EACCES, errno.EPERM})  # waiting does not help
_WHAT_TO_DO = {
    errno.EMFILE: "this process has too many open files: raise the limit with ulimit -n",
    errno.ENFILE: "this machine has too many open files: end other programs",
    errno.ENOMEM: "free some memory, or take fewer loader threads",
    errno.EACCES: "make it readable for this user",
    errno.EPERM: "make it readable for this user",
}
_PASSING = "check that its disk or server works"

_ANY_SIZE = 1 << 62  # bytes

T = TypeVar("T")


def read_plain(path: Path, most: int) -> bytes:
    """Return the bytes of a plain file of at most ``most`` bytes.

    Raises:
        OSError: It is missing, not a plain file (a folder, pipe, socket or device) or too large.
        HarnessError: It could not be read, not even a few seconds later.
    """
    return patiently(lambda: _read(path, most), path.__str__)


def look_for(path: Path | bytes) -> bool:
    """Return whether a plain file exists; unlike ``Path.is_file``, False only if it does not.

    Raises:
        HarnessError: It could not be determined, not even a few seconds later.
    """
    try:
        status = patiently(lambda: os.stat(path), lambda: os.fsdecode(path))  # noqa: PTH116 - bytes
        return stat.S_ISREG(status.st_mode)
    except OSError:
        return False


def is_there(path: Path) -> bool:
    """Return whether the path exists; unlike ``Path.exists``, False only if it does not.

    Raises:
        HarnessError: It could not be determined, not even a few seconds later.
    """
    try:
        patiently(path.stat, path.__str__)
    except OSError:
        return False
    return True


def check_plain(path: Path) -> None:
    """Raise OSError if ``path`` is not a plain file: opening a pipe would block."""
    mode = path.stat().st_mode
    if not stat.S_ISREG(mode):
        _refuse_kind(mode, path)


def read_part(path: Path, size: int, offset: int = 0) -> bytes:
    """Return ``size`` bytes of a plain file, or as many as it has; raises as ``read_plain``."""

    def read() -> bytes:
        check_plain(path)
        descriptor, whole = open_plain(path, _ANY_SIZE)
        try:
            return read_range(descriptor, max(0, min(size, whole - offset)), offset, str(path))
        finally:
            os.close(descriptor)

    return patiently(read, path.__str__)


def patiently(read: Callable[[], T], name: Callable[[], object]) -> T:
    """Return what ``read`` returns, called again after growing waits if the error may pass.

    Raises:
        OSError: A permanent error of the file, at once.
        HarnessError: Another error, or MemoryError, that did not pass; it names ``name()``.
    """
    for wait in (*WAITS, None):
        try:
            return read()
        except (OSError, MemoryError) as error:
            if is_proven(error):
                raise
            if wait is None or getattr(error, "errno", None) in _LASTING:
                raise HarnessError(unreadable(name(), error)) from error
            _say(name(), error)
            time.sleep(wait)
    raise AssertionError


def is_proven(error: OSError | MemoryError) -> bool:
    """Return whether an error is permanent for this file, not a temporary one."""
    return isinstance(error, OSError) and error.errno in PROVEN


def unreadable(what: object, error: OSError | MemoryError) -> str:
    """Return a line on what could not be read, why, and what to do."""
    number = errno.ENOMEM if isinstance(error, MemoryError) else error.errno or errno.EIO
    advice = _WHAT_TO_DO.get(number, _PASSING)
    return (
        f"cannot read {visible(what)}: {_reason(error)} ({errno.errorcode.get(number, number)}); "
        f"{advice}, and start the same command again"
    )


def open_plain(path: Path | bytes, most: int) -> tuple[int, int]:
    """Open a plain file of at most ``most`` bytes; return its descriptor and its size in bytes.

    Raises:
        OSError: It cannot be opened, is not a plain file or is too large.
    """
    # Opening a pipe without a writer must not block the run.
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY)
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            _refuse_kind(status.st_mode, path)
        if status.st_size > most:
            reason = f"has {status.st_size} bytes, more than {most}"
            raise OSError(errno.EFBIG, reason, os.fsdecode(path))
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor, status.st_size


def read_range(descriptor: int, size: int, offset: int, name: str) -> bytes:
    """Return ``size`` bytes from ``offset`` on; raises OSError (EIO) if the file has fewer."""
    data = os.pread(descriptor, size, offset)
    if len(data) == size:
        return data
    parts = [data]
    missing = size - len(data)
    while missing:  # a signal, or over 2 GiB at once
        part = os.pread(descriptor, missing, offset + size - missing)
        if not part:
            raise OSError(
                errno.EIO, f"ends {missing} bytes before its size: it is being changed", name
            )
        parts.append(part)
        missing -= len(part)
    return b"".join(parts)


def _read(path: Path, most: int) -> bytes:
    check_plain(path)  # a device is not even opened: a tape would start
    descriptor, size = open_plain(path, most)
    try:
        return read_range(descriptor, size, 0, str(path))
    finally:
        os.close(descriptor)


def _refuse_kind(mode: int, path: Path | bytes) -> NoReturn:
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), os.fsdecode(path))
    kinds = {stat.S_IFIFO: "a pipe", stat.S_IFSOCK: "a socket"}
    kind = kinds.get(stat.S_IFMT(mode), "a device")
    raise OSError(errno.EINVAL, f"not a plain file but {kind}", os.fsdecode(path))


def _reason(error: OSError | MemoryError) -> str:
    if isinstance(error, MemoryError):
        return os.strerror(errno.ENOMEM)
    return error.strerror or str(error) or type(error).__name__


_said_at = -SAY_EVERY


def _say(what: object, error: OSError | MemoryError) -> None:
    global _said_at  # noqa: PLW0603 - one voice for all threads of the process
    now = time.monotonic()
    if now - _said_at >= SAY_EVERY:
        _said_at = now
        seconds = round(sum(WAITS))
        note(f"{visible(what)}: {_reason(error)}; trying again for {seconds} s")
