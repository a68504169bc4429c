"""Who counts as silent; test_launchers freezes a real rank."""

from __future__ import annotations

import pytest

from harness.errors import HarnessError
from harness.launch.heartbeat import BEATS, GONE, Silence, lost_limit
from harness.machine.place import Place


def test_a_rank_is_silent_after_as_many_equal_looks_as_there_are_beats() -> None:
    watch = Silence(Place(1, 4, 1, "", 0))
    looks = [[b"5", b"5", GONE, str(number).encode()] for number in range(BEATS + 1)]
    answers = [watch.silent(said) for said in looks]
    assert answers == [[]] * BEATS + [[0]]  # not itself, not who has finished, not who speaks
    assert watch.silent([b"6", b"5", GONE, b"0"]) == []


def test_nobody_is_silent_before_all_were_heard() -> None:
    watch = Silence(Place(0, 2, 0, "", 0))
    assert [watch.silent([]) for _ in range(2 * BEATS)] == [[]] * (2 * BEATS)
    assert [watch.silent([b"1", b"1"]) for _ in range(BEATS)] == [[]] * BEATS


@pytest.mark.parametrize("text", ["0", "-3", "soon", "nan", "1e9"])
def test_a_limit_that_is_not_one_is_refused(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setenv("HARNESS_LOST_SECONDS", text)
    with pytest.raises(HarnessError, match="is not a number of seconds"):
        lost_limit()
