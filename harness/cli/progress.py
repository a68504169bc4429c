"""One line on standard error that says how far a long command is."""

from __future__ import annotations

import sys
import time
from types import TracebackType

from harness.terminal import visible

EVERY_SECONDS = 0.2
# Where standard error is a file, a line each would fill it.
EVERY_SECONDS_IN_A_FILE = 30.0
WIDTH = 100


class Line:
    """Shows the latest text; overwritten on a terminal, and gone at the end."""

    def __init__(self) -> None:
        self._terminal = sys.stderr.isatty()
        self._next = 0.0 if self._terminal else time.monotonic() + EVERY_SECONDS_IN_A_FILE
        self._shown = False

    def __enter__(self) -> Line:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.clear()

    def show(self, text: str) -> None:
        """Show ``text``, unless another was shown just now."""
        now = time.monotonic()
        if now < self._next:
            return
        text = visible(text)
        self._next = now + (EVERY_SECONDS if self._terminal else EVERY_SECONDS_IN_A_FILE)
        if self._terminal:
            sys.stderr.write(f"\r{text[:WIDTH]:<{WIDTH}}")
            self._shown = True
        else:
            sys.stderr.write(f"{text}\n")
        sys.stderr.flush()

    def clear(self) -> None:
        """Take the line away, so that what follows stands on a line of its own."""
        if self._shown:
            sys.stderr.write(f"\r{'':<{WIDTH}}\r")
            sys.stderr.flush()
            self._shown = False
