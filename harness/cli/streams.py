"""Standard streams that are closed or cannot be written: one line, not a traceback."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TextIO, cast

from harness.errors import HarnessError


def open_streams() -> None:
    """Open closed streams as /dev/null, or the next data file would get their numbers.

    Raises HarnessError if standard output is closed, since every command prints there.
    """
    while (number := os.open(os.devnull, os.O_RDWR)) <= 2:
        pass
    os.close(number)
    if sys.stderr is None:
        sys.stderr = os.fdopen(2, "w", errors="replace", closefd=False)
    if sys.stdout is None:
        raise HarnessError("standard output is closed; to run without it, redirect it to /dev/null")


class _Output:
    """Standard output that remembers its errors, to tell them from those of other files."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self.error: OSError | None = None

    def write(self, text: str) -> int:
        """Write text; raises OSError and remembers it."""
        try:
            return self._stream.write(text)
        except OSError as error:
            self.error = error
            raise

    def flush(self) -> None:
        """Write what is buffered; raises OSError and remembers it."""
        try:
            self._stream.flush()
        except OSError as error:
            self.error = error
            raise

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


@contextmanager
def written_output() -> Iterator[None]:
    """Raise HarnessError if standard output cannot be written, except for a broken pipe."""
    stream = sys.stdout
    output = _Output(stream)
    sys.stdout = cast("TextIO", output)
    try:
        yield
        output.flush()
    except OSError as error:
        if error is not output.error or isinstance(error, BrokenPipeError):
            raise
    finally:
        sys.stdout = stream
    if output.error is not None and not isinstance(output.error, BrokenPipeError):
        drop_output()
        raise HarnessError(
            f"standard output cannot be written: {output.error.strerror}; results are "
            "stored, and the same command prints them again"
        )


def drop_output() -> None:
    """Redirect standard output to /dev/null, or Python fails again at exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
