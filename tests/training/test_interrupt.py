"""A signal asks for a stop; a second one insists."""

from __future__ import annotations

import os
import signal
from concurrent.futures import ThreadPoolExecutor

import pytest

from harness.training.interrupt import Interrupted, listening, stoppable

ASKING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
WARNING = (signal.SIGUSR1, signal.SIGUSR2, signal.SIGXCPU)  # before a scheduler's time limit


def send(number: int) -> None:
    os.kill(os.getpid(), number)


@pytest.mark.parametrize("number", [*ASKING, *WARNING])
def test_a_signal_is_remembered_and_the_handlers_come_back(number: int) -> None:
    before = signal.signal(number, signal.default_int_handler)
    try:
        with listening() as request:
            assert request.number == 0
            send(number)
            assert request.number == number
        assert signal.getsignal(number) is signal.default_int_handler
    finally:
        signal.signal(number, before)


def test_a_rank_whose_peer_heard_it_first_is_also_stopped(heeded_interrupt: None) -> None:
    gone = RuntimeError("[/gloo/transport/tcp/pair.cc:545] Read error: Connection reset by peer")

    def fail(error: RuntimeError, *numbers: int) -> None:
        with listening():
            for number in numbers:
                send(number)
            raise error

    with pytest.raises(Interrupted, match="SIGTERM"):
        fail(gone, signal.SIGTERM)
    with pytest.raises(RuntimeError, match="reset by peer"):
        fail(gone)
    with pytest.raises(RuntimeError, match="another error"):
        fail(RuntimeError("another error"), signal.SIGTERM)


def test_a_second_ctrl_c_interrupts_at_once(heeded_interrupt: None) -> None:
    with listening():
        send(signal.SIGINT)
        with pytest.raises(KeyboardInterrupt):
            send(signal.SIGINT)


@pytest.mark.parametrize(
    "numbers",
    [
        (signal.SIGTERM, signal.SIGHUP),
        (signal.SIGTERM, signal.SIGINT),
        (signal.SIGTERM, signal.SIGTERM),
        (signal.SIGINT, signal.SIGTERM),
        (signal.SIGUSR1, signal.SIGTERM),
    ],
)
def test_schedulers_and_terminals_may_send_several(
    heeded_interrupt: None, numbers: tuple[int, int]
) -> None:
    with listening() as request:
        for number in numbers:
            send(number)
        assert request.number == numbers[0]


def test_outside_training_a_signal_breaks_off_at_once() -> None:
    before = signal.getsignal(signal.SIGUSR1)
    with stoppable():
        with listening() as request:
            send(signal.SIGUSR1)
            assert request.number == signal.SIGUSR1
        with pytest.raises(Interrupted, match="SIGUSR1"):
            send(signal.SIGUSR1)
        for number in (signal.SIGUSR1, signal.SIGTERM):
            send(number)  # while the first is on its way out: ignored
    assert signal.getsignal(signal.SIGUSR1) is before


def test_what_nohup_disabled_stays_disabled() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with listening() as request:
            send(signal.SIGHUP)
            assert request.number == 0
    finally:
        signal.signal(signal.SIGHUP, before)


def test_outside_the_main_thread_nothing_is_touched() -> None:
    def number() -> int:
        with listening() as request:
            return request.number

    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(number).result() == 0


def test_an_interruption_is_not_an_error_and_names_its_signal() -> None:
    assert not isinstance(Interrupted(signal.SIGINT), Exception)
    assert str(Interrupted(signal.SIGINT)) == "SIGINT"
    assert Interrupted(0).number == signal.SIGTERM  # another rank heard it
