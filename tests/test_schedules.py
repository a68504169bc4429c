"""Learning-rate schedules: exact values worked by hand, and no jumps."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.errors import PluginError
from harness.schedules import Constant, Part, Steps, WarmupCosine

PROGRESS = st.floats(0, 1)


def test_constant_is_one() -> None:
    assert [Constant().factor(p) for p in (0.0, 0.3, 1.0)] == [1, 1, 1]


@pytest.mark.parametrize(
    ("progress", "factor"),
    [(0, 0), (0.05, 0.25), (0.1, 0.5), (0.2, 1), (0.4, 0.853553), (0.6, 0.5), (1, 0)],
)
def test_warmup_then_a_whole_half_cosine(progress: float, factor: float) -> None:
    # The cosine runs from 0.2 to 1: 0.6 is its middle, 0.4 a quarter of it.
    assert WarmupCosine(warmup=0.2).factor(progress) == pytest.approx(factor, abs=1e-6)


def test_no_warmup_begins_at_one() -> None:
    assert WarmupCosine(warmup=0).factor(0) == 1
    assert WarmupCosine(warmup=0).factor(0.5) == pytest.approx(0.5)


@given(st.floats(0.01, 0.9), PROGRESS)
def test_it_is_between_0_and_1_and_does_not_jump(warmup: float, progress: float) -> None:
    schedule = WarmupCosine(warmup=warmup)
    here, near = schedule.factor(progress), schedule.factor(min(1, progress + 1e-6))
    assert 0 <= here <= 1
    steepest = max(1 / warmup, 1.6 / (1 - warmup))
    assert abs(near - here) <= 1.01e-6 * steepest + 1e-12


@given(st.floats(0.01, 0.9))
def test_the_warmup_does_not_shorten_the_cosine(warmup: float) -> None:
    schedule, plain = WarmupCosine(warmup=warmup), WarmupCosine(warmup=0)
    for share in (0.0, 0.25, 0.5, 0.75, 1.0):
        at = min(1.0, warmup + share * (1 - warmup))
        assert schedule.factor(at) == pytest.approx(plain.factor(share), abs=1e-6)


@pytest.mark.parametrize("warmup", [-0.1, 1.0, 2.0, float("nan")])
def test_a_warmup_that_leaves_nothing_is_refused(warmup: float) -> None:
    with pytest.raises(PluginError, match="choose from 0 to below 1"):
        WarmupCosine(warmup=warmup)


@pytest.mark.parametrize(
    ("progress", "factor"),
    [(0, 1), (0.333, 1), (1 / 3, 0.1), (0.5, 0.1), (2 / 3, 0.01), (8 / 9, 0.001), (1, 0.001)],
)
def test_steps_fall_at_the_milestones(progress: float, factor: float) -> None:
    assert Steps().factor(progress) == pytest.approx(factor)


def test_steps_take_other_milestones() -> None:
    schedule = Steps(milestones=(0.5,), gamma=0.5)
    assert [schedule.factor(p) for p in (0.0, 0.49, 0.5, 1.0)] == [1, 1, 0.5, 0.5]


@pytest.mark.parametrize("parts", [1, 2, 3])
def test_the_parts_of_a_schedule_join_to_the_whole(parts: int) -> None:
    whole = WarmupCosine(warmup=0.2)
    shares = [(part / parts, (part + 1) / parts) for part in range(parts)]
    for begin, end in shares:
        part = Part(whole=whole, begin=begin, end=end)
        assert part.factor(0) == pytest.approx(whole.factor(begin))
        assert part.factor(0.5) == pytest.approx(whole.factor((begin + end) / 2))
        assert part.factor(1) == pytest.approx(whole.factor(end))


@pytest.mark.parametrize(("begin", "end"), [(-0.1, 0.5), (0.5, 0.5), (0.6, 0.4), (0.5, 1.1)])
def test_a_part_that_is_none_is_refused(begin: float, end: float) -> None:
    with pytest.raises(PluginError, match="a Part needs 0 <= begin < end <= 1"):
        Part(whole=Constant(), begin=begin, end=end)
