"""Ctrl-C, SIGTERM and SIGHUP during training: finish the step, write a checkpoint, then stop."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from threading import current_thread, main_thread
from types import FrameType

from harness.launch import heeded_signals


class Interrupted(BaseException):
    """The run was asked to stop, and its place is kept. No error, so no ``except`` stops it."""

    def __init__(self, number: int) -> None:
        self.number = number or signal.SIGTERM  # another rank heard it
        super().__init__(signal.Signals(self.number).name)


class Request:
    """Whether a signal has come."""

    def __init__(self) -> None:
        self.number = 0

    def hear(self, number: int, frame: FrameType | None) -> None:  # noqa: ARG002 - a handler's form
        """Remember the signal; a second Ctrl-C interrupts at once."""
        if self.number:
            raise KeyboardInterrupt
        self.number = number


@contextmanager
def listening() -> Iterator[Request]:
    """Let a signal ask for a stop instead of breaking a step off."""
    request = Request()
    if current_thread() is not main_thread():
        yield request
        return
    before = {number: signal.signal(number, request.hear) for number in heeded_signals()}
    try:
        yield request
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
