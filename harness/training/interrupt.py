"""Signals that ask a run to stop: a training step is finished and kept first, all else broken off.

Ctrl-C, SIGTERM and SIGHUP stop, and so do the warnings that schedulers send before a time limit:
SIGUSR1, SIGUSR2 and SIGXCPU.
"""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import current_thread, main_thread
from types import FrameType

from harness.machine.launch import heeded_signals


class Interrupted(BaseException):
    """The run was asked to stop, and its place is kept. No error, so no ``except`` stops it."""

    def __init__(self, number: int) -> None:
        self.number = number or signal.SIGTERM  # another rank heard it
        super().__init__(signal.Signals(self.number).name)


class Request:
    """Whether a signal has come, and which one first."""

    def __init__(self) -> None:
        self.number = 0
        self._insists = False

    def hear(self, number: int, frame: FrameType | None) -> None:  # noqa: ARG002 - a handler's form
        """Remember the first signal; only a second Ctrl-C, which a person sends, breaks off.

        Schedulers and terminals send several, such as SIGTERM and then SIGHUP.
        """
        if number == signal.SIGINT and self._insists:
            raise KeyboardInterrupt
        self._insists = self._insists or number == signal.SIGINT
        self.number = self.number or number


def stop_at_once(number: int, frame: FrameType | None) -> None:  # noqa: ARG001 - a handler's form
    """Break off what is being done outside training: what is finished is on disk already."""
    raise Interrupted(number)


@contextmanager
def listening() -> Iterator[Request]:
    """Let a signal ask for a stop instead of breaking a step off."""
    request = Request()
    with _handled(request.hear):
        yield request


@contextmanager
def stoppable() -> Iterator[None]:
    """Let a signal raise Interrupted, so that files under way are removed and the user is told."""
    with _handled(stop_at_once):
        yield


def ignore_signals() -> None:
    """Let no further signal break off what a run that stops still has to say."""
    for number in heeded_signals():
        signal.signal(number, signal.SIG_IGN)


@contextmanager
def _handled(handler: Callable[[int, FrameType | None], None]) -> Iterator[None]:
    if current_thread() is not main_thread():
        yield
        return
    before = {number: signal.signal(number, handler) for number in heeded_signals()}
    try:
        yield
    finally:
        for number, previous in before.items():
            signal.signal(number, previous)
