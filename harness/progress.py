"""How far a long task is: one live line on a terminal, a plain line now and then in a file."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, Any

from harness.terminal import note, visible

if TYPE_CHECKING:
    from tqdm import tqdm

QUIET_SECONDS = 2.0
LIVE_SECONDS = 0.1
FILE_SECONDS = 30.0


def loading(library: str) -> ProgressLine:
    """Say on a terminal that a library is loaded, which takes seconds, until the block ends.

    Nothing is said if it was loaded before, or in a file.
    """
    line = ProgressLine(at_once=True)
    if library not in sys.modules and sys.stderr.isatty():
        line.show(f"loading {library}")
    return line


class ProgressLine:
    """Shows the latest text on standard error, cut to the width of the terminal.

    The first text appears after two seconds, or immediately with ``at_once``. If standard error is
    not a terminal, each text is a line, and ``file_seconds`` (default 30) pass before each.
    """

    def __init__(self, *, at_once: bool = False, file_seconds: float | None = None) -> None:
        self._live = sys.stderr.isatty()
        in_file = FILE_SECONDS if file_seconds is None else file_seconds
        self._pause = LIVE_SECONDS if self._live else in_file
        wait = QUIET_SECONDS if self._live else in_file
        self._next = time.monotonic() + (0.0 if at_once else wait)
        self._bar: tqdm[Any] | None = None
        self._shown = False

    def __enter__(self) -> ProgressLine:
        return self

    def __exit__(self, *error: object) -> None:
        self.clear()

    def show(self, text: str) -> None:
        """Show ``text``, unless another was shown just now."""
        now = time.monotonic()
        if now < self._next:
            return
        self._next, self._shown = now + self._pause, True
        if not self._live:
            note(text)
        elif self._bar is None:
            self._bar = _live_line(visible(text))
        else:
            self._bar.set_description_str(visible(text))

    def count(self, what: str, done: int, total: int, unit: str = "") -> None:
        """Show how many are done; the last count stays if an earlier one was shown."""
        text = f"{what}: {done}/{total} {unit}".rstrip()
        if done < total:
            self.show(text)
        elif self._shown:
            self.leave(text)

    def step(self, what: str, done: int, total: int) -> None:
        """Show one of several counts; none of them stays."""
        self.show(f"{what}: {done:,}/{total:,}")

    def leave(self, text: str) -> None:
        """Write ``text`` as a line that stays, in place of the live one."""
        self.clear()
        note(text)

    def clear(self) -> None:
        """Remove the live line, so that other output starts at the left margin."""
        if self._bar is not None:
            self._bar.close()
            self._bar = None


def _live_line(text: str) -> tqdm[Any]:
    from tqdm import tqdm

    # No monitor thread: data sets are drawn by forked processes.
    live_line: Any = type("LiveLine", (tqdm,), {"monitor_interval": 0})
    bar: tqdm[Any] = live_line(
        desc=text, bar_format="{desc}", dynamic_ncols=True, leave=False, file=sys.stderr
    )
    return bar
