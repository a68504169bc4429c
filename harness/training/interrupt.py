"""Signals that stop a run: a training step is finished and saved first, other work is aborted.

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
    """The run was asked to stop and its state is saved; not an Exception, so it is not caught."""

    def __init__(self, number: int) -> None:
        self.number = number or signal.SIGTERM  # another rank received it
        super().__init__(signal.Signals(self.number).name)


class Request:
    """The first signal that was received, if any."""

    def __init__(self) -> None:
        self.number = 0
        self._insists = False

    def hear(self, number: int, frame: FrameType | None) -> None:  # noqa: ARG002 - a handler's form
        """Remember the first signal; only a second Ctrl-C, which a person sends, aborts the step.

        Schedulers and terminals may send several, such as SIGTERM and then SIGHUP.
        """
        if number == signal.SIGINT and self._insists:
            raise KeyboardInterrupt
        self._insists = self._insists or number == signal.SIGINT
        self.number = self.number or number


def stop_at_once(number: int, frame: FrameType | None) -> None:  # noqa: ARG001 - a handler's form
    """Abort work outside training; finished work is already on disk.

    Further signals are ignored from now on: a second one, which may arrive at the same instant if
    the starting command was killed, would end the run with a traceback.
    """
    ignore_signals()
    raise Interrupted(number)


@contextmanager
def listening() -> Iterator[Request]:
    """Record signals instead of aborting a step.

    Another rank may have heard the signal where it stops at once: its loss is then no error.
    """
    request = Request()
    with _handled(request.hear):
        try:
            yield request
        except RuntimeError as error:
            from harness.launch.joining import lost  # it imports torch, which a loop has, too

            if request.number and lost(error):
                raise Interrupted(request.number) from error
            raise


@contextmanager
def stoppable() -> Iterator[None]:
    """Let a signal raise Interrupted, so unfinished files are removed and a message is printed."""
    with _handled(stop_at_once):
        yield


def ignore_signals() -> None:
    """Ignore further signals while a stopping run prints its last lines."""
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
