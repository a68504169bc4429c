"""Which sample stands where: every one as often as it should, and the same after any break."""

from __future__ import annotations

import tracemalloc
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from harness import samplers
from harness.errors import DataError, PluginError
from harness.samplers import (
    DRAWS,
    ChosenAndAll,
    ClassBalanced,
    Draw,
    Sampler,
    SquareRoot,
    SubsetBatches,
    Uniform,
    Weighted,
    generator,
    passes,
    shares,
)
from harness.samples import Samples, WebClass

PLAIN = (Uniform(), ClassBalanced(), SquareRoot(), Weighted())


def samples_of(label: NDArray[np.int_], subset: NDArray[np.int_] | int = 0) -> Samples:
    size = len(label)
    return Samples(
        split="train",
        root=Path(),
        files=np.full(size, "a.jpg"),
        label=np.asarray(label, np.int32),
        source=np.zeros(size, np.int8),
        query=np.zeros(size, np.int32),
        rank=np.zeros(size, np.int32),
        weight=np.ones(size, np.float32),
        subset=np.broadcast_to(np.asarray(subset, np.int8), size),
        classes=tuple(WebClass(str(k), str(k)) for k in range(int(max(label, default=0)) + 1)),
    )


def many(size: int) -> Samples:
    return samples_of(np.arange(size) % 3)


def first(draw: Draw, steps: int) -> list[int]:
    rows: list[int] = np.concatenate([draw(step) for step in range(steps)]).tolist()
    return rows


# Uniform


@given(st.integers(1, 50), st.integers(1, 70), st.integers(0, 2**62))
def test_every_sample_is_drawn_exactly_once_in_each_pass(size: int, batch: int, seed: int) -> None:
    draw = Uniform().prepare(many(size), batch, seed)
    drawn = first(draw, -(-3 * size // batch))
    for number in range(3):
        assert sorted(drawn[number * size : (number + 1) * size]) == list(range(size))


@given(st.sampled_from(PLAIN), st.integers(1, 40), st.integers(1, 60), st.integers(1, 60))
def test_the_order_does_not_depend_on_the_batch_size(
    sampler: Sampler, size: int, one: int, other: int
) -> None:
    wanted = 100
    orders = [
        first(sampler.prepare(many(size), batch, 7), -(-wanted // batch))[:wanted]
        for batch in (one, other)
    ]
    assert orders[0] == orders[1]


@pytest.mark.parametrize("sampler", PLAIN)
def test_passes_differ_from_each_other_and_from_those_of_another_seed(sampler: Sampler) -> None:
    draw = sampler.prepare(many(100), 100, 0)
    orders = [draw(step).tolist() for step in range(5)]
    orders += [sampler.prepare(many(100), 100, seed)(0).tolist() for seed in (1, 2, 2**40)]
    assert len({tuple(order) for order in orders}) == 8


@pytest.mark.parametrize("sampler", [*PLAIN, SubsetBatches(counts=(2, 1, 1)), ChosenAndAll()])
def test_a_step_draws_the_same_at_any_time_and_in_any_order(sampler: Sampler) -> None:
    samples = samples_of(np.arange(90) % 10, np.arange(90) % 3)
    draw, again = (sampler.prepare(samples, 8, 3) for _ in range(2))
    forward = [draw(step).tolist() for step in range(40)]
    backward = [again(step).tolist() for step in reversed(range(40))]
    assert forward == backward[::-1]
    assert draw(17).tolist() == forward[17]
    assert all(len(batch) == 8 for batch in forward)


@pytest.mark.parametrize(
    "sampler", [*PLAIN, SubsetBatches(counts=(1,), class_balanced=(True,)), ChosenAndAll()]
)
def test_what_was_left_out_is_never_drawn(sampler: Sampler) -> None:
    subset = np.where(np.arange(60) % 4 == 0, -1, 0)
    draw = sampler.prepare(samples_of(np.arange(60) % 5, subset), 16, 0)
    drawn = set(first(draw, 50))
    assert drawn == set(np.flatnonzero(subset == 0).tolist())


def test_a_sampler_draws_from_the_subset_whatever_its_number_is() -> None:
    draw = Uniform().prepare(samples_of(np.zeros(9, int), np.arange(9) % 3), 9, 0)
    assert sorted(draw(0).tolist()) == list(range(9))


@pytest.mark.parametrize("sampler", [*PLAIN, ChosenAndAll()])
@pytest.mark.parametrize("size", [0, 3])
def test_nothing_to_train_on_is_said(sampler: Sampler, size: int) -> None:
    with pytest.raises(DataError, match="no sample is left to train on"):
        sampler.prepare(samples_of(np.zeros(size, int), -1), 2, 0)


@pytest.mark.parametrize("sampler", PLAIN)
def test_a_far_step_needs_no_more_than_its_own_pass(sampler: Sampler) -> None:
    draw = sampler.prepare(many(10), 4, 0)
    assert len(draw(10**12)) == 4
    assert set(draw(10**12).tolist()) <= set(range(10))


def test_a_far_step_of_subsets_needs_no_more_than_its_own_passes() -> None:
    far = SubsetBatches(counts=(1, 1), class_balanced=(True, False))
    drawn = far.prepare(samples_of(np.arange(20) % 4, np.arange(20) % 2), 4, 0)(10**12)
    assert len(drawn) == 4


def test_a_pass_gives_any_stretch() -> None:
    take = passes(np.arange(10, 17), 1, 0)
    whole = take(0, 21).tolist()
    assert take(5, 9).tolist() == whole[5:14]
    assert take(3, 0).tolist() == []


@given(st.integers(1, 90), st.integers(1, 70), st.integers(0, 2**62))
def test_of_many_rows_every_pass_has_each_once_and_any_step_can_be_the_first(
    size: int, batch: int, seed: int
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(samplers, "MANY", 0)
        for subset in (0, np.arange(size) % 3 - 1):  # all rows, or some left out
            samples = samples_of(np.zeros(size, int), subset)
            kept = np.flatnonzero(samples.subset >= 0).tolist()
            if not kept:
                continue
            steps = -(-3 * len(kept) // batch)
            drawn = first(Uniform().prepare(samples, batch, seed), steps)
            for number in range(3):
                assert sorted(drawn[number * len(kept) : (number + 1) * len(kept)]) == kept
            resumed = Uniform().prepare(samples, batch, seed)(steps - 1)
            assert resumed.tolist() == drawn[-batch:]


def test_the_order_of_many_rows_takes_no_memory() -> None:
    rows = range(1 << 24)
    tracemalloc.start()
    drawn = passes(rows, 0, 0)(5 * len(rows) - 100, 200)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1 << 20
    assert len(np.unique(drawn[:100])) == len(np.unique(drawn[100:])) == 100
    assert 0 <= drawn.min() <= drawn.max() < len(rows)


def test_counters_of_one_length_never_meet() -> None:
    counters = [(seed, a, b) for seed in range(4) for a in range(4) for b in range(4)]
    counters += [(0, 1 << 21, 0), (0, 0, 1 << 21), (1 << 61, 0, 0), (1 << 61, 0, 1)]
    first_words = {generator(*each).integers(1 << 62) for each in counters}
    assert len(first_words) == len(counters)


SIZES = np.array([600, 400, 250, 150, 100, 60, 40, 20, 12, 8, 4, 2])


def long_tail() -> Samples:
    """Twelve classes from 600 samples down to 2, the first half of each in subset 0."""
    label = np.repeat(np.arange(12), SIZES)
    place = np.concatenate([np.arange(size) / size for size in SIZES])
    return samples_of(label, np.select([place < 0.5, place < 0.75], [0, 1], 2))


def assert_shares(drawn: NDArray[np.int_], expected: NDArray[np.float64]) -> None:
    """Every place was drawn as often as ``expected``, within five standard deviations."""
    share = expected / expected.sum()
    counts = np.bincount(drawn, minlength=len(share))
    assert len(counts) == len(share)
    spread = np.sqrt(len(drawn) * share * (1 - share))
    assert np.all(np.abs(counts - len(drawn) * share) <= 5 * spread)


# ClassBalanced


def test_each_pass_holds_every_class_once() -> None:
    samples = long_tail()
    draw = ClassBalanced().prepare(samples, 36, 0)
    for step in range(20):
        labels = samples.label[draw(step)].reshape(3, 12)
        assert np.array_equal(np.sort(labels), np.tile(np.arange(12), (3, 1)))
        assert len({tuple(one_pass) for one_pass in labels.tolist()}) == 3


def test_every_sample_of_a_class_is_drawn_equally_often() -> None:
    samples = long_tail()
    rows = np.array(first(ClassBalanced().prepare(samples, 1200, 0), 100))
    for label in (0, 6, 11):
        members = np.flatnonzero(samples.label == label)
        drawn = rows[samples.label[rows] == label]
        assert len(drawn) == 10_000
        assert_shares(drawn - members[0], np.ones(len(members)))


def test_a_class_that_was_left_out_has_no_place() -> None:
    samples = samples_of(np.arange(40) % 4, np.where(np.arange(40) % 4 == 2, -1, 0))
    for sampler in (ClassBalanced(), SquareRoot()):
        rows = np.array(first(sampler.prepare(samples, 9, 0), 100))
        assert set(samples.label[rows].tolist()) == {0, 1, 3}
    balanced = samples.label[first(ClassBalanced().prepare(samples, 9, 0), 100)]
    assert np.bincount(balanced).tolist() == [300, 300, 0, 300]


# SquareRoot


def test_classes_come_by_the_square_root_of_their_size() -> None:
    samples = long_tail()
    rows = np.array(first(SquareRoot().prepare(samples, 1000, 3), 200))
    assert_shares(samples.label[rows], np.sqrt(SIZES))
    largest = rows[samples.label[rows] == 0]
    assert_shares(largest, np.ones(600))


def test_only_what_is_left_counts_for_a_class_size() -> None:
    label = np.repeat([0, 1], [500, 100])
    samples = samples_of(label, np.where(np.arange(600) < 475, -1, 0))
    rows = np.array(first(SquareRoot().prepare(samples, 1000, 0), 100))
    assert_shares(label[rows], np.array([5.0, 10.0]))


# Weighted


def weighted(weight: NDArray[np.float64], subset: NDArray[np.int_] | int = 0) -> Samples:
    samples = samples_of(np.zeros(len(weight), int), subset)
    return samples.assign(weight=weight.astype(np.float32))


def test_samples_come_by_their_weight() -> None:
    weight = np.geomspace(1, 1e-3, 50)
    rows = np.array(first(Weighted().prepare(weighted(weight), 1000, 5), 300))
    assert_shares(rows, weight.astype(np.float32).astype(np.float64))


def test_weight_0_and_subset_minus_1_are_never_drawn() -> None:
    weight = np.tile([0.0, 1.0, 3.0, 0.0], 25)
    subset = np.where(np.arange(100) < 50, 0, -1)
    rows = first(Weighted().prepare(weighted(weight, subset), 500, 0), 100)
    assert set(rows) == set(np.flatnonzero((weight > 0) & (subset == 0)).tolist())


def test_one_weight_above_0_is_always_drawn() -> None:
    for row in (0, 4, 8):
        weight = np.zeros(9)
        weight[row] = 1e-45
        assert set(first(Weighted().prepare(weighted(weight), 8, 0), 5)) == {row}


def test_no_weight_above_0_is_said() -> None:
    for samples in (weighted(np.zeros(4)), weighted(np.array([0, 0, 1]), np.array([0, 0, -1]))):
        with pytest.raises(DataError, match="no sample is left to draw"):
            Weighted().prepare(samples, 2, 0)


def test_draws_go_on_over_the_end_of_a_piece() -> None:
    draw = Weighted().prepare(weighted(np.ones(1000)), 3, 0)
    whole = Weighted().prepare(weighted(np.ones(1000)), 2 * DRAWS, 0)(0)
    step = DRAWS // 3
    assert draw(step).tolist() == whole[3 * step : 3 * step + 3].tolist()
    assert whole[:DRAWS].tolist() != whole[DRAWS:].tolist()


def test_twenty_million_rows_are_drawn_by_weight() -> None:
    size, limit = 20_000_000, 1 << 24  # 2^24 is where torch.multinomial and float32 end

    def same(value: object, kind: type[np.generic]) -> NDArray[np.generic]:
        return np.broadcast_to(np.asarray(value, kind), size)

    weight = np.ones(size, np.float32)
    weight[:limit:2] = 0
    samples = samples_of(np.zeros(1, int)).assign(
        files=np.broadcast_to(np.asarray("a.jpg"), size),
        **{name: same(0, np.int32) for name in ("label", "query", "rank")},
        **{name: same(0, np.int8) for name in ("source", "subset")},
        weight=weight,
    )
    rows = Weighted().prepare(samples, DRAWS, 0)(0)
    assert not np.any((rows < limit) & (rows % 2 == 0))
    high = rows[rows >= limit]
    assert_shares((rows >= limit).astype(int), np.array([limit / 2, size - limit]))
    assert_shares(high % 2, np.ones(2))
    assert_shares((high - limit) * 10 // (size - limit), np.ones(10))


# SubsetBatches


@pytest.mark.parametrize("batch", [4, 8, 64, 256])
def test_every_batch_holds_the_shares_exactly(batch: int) -> None:
    samples = long_tail()
    draw = SubsetBatches().prepare(samples, batch, 0)
    for step in range(20):
        counts = np.bincount(samples.subset[draw(step)], minlength=3)
        assert counts.tolist() == [batch // 2, batch // 4, batch // 4]


def test_each_class_occurs_at_most_once_among_the_balanced() -> None:
    samples = long_tail()
    draw = SubsetBatches(counts=(10, 1, 1)).prepare(samples, 12, 0)
    for step in range(50):
        rows = draw(step)
        labels = samples.label[rows[samples.subset[rows] == 0]]
        assert len(set(labels.tolist())) == 10


def test_more_places_than_classes_are_shared_out_evenly() -> None:
    samples = long_tail()
    draw = SubsetBatches(counts=(30,), class_balanced=(True,)).prepare(
        samples.assign(subset=np.zeros(len(samples), np.int8)), 30, 0
    )
    for step in range(20):
        counts = Counter(samples.label[draw(step)].tolist())
        assert len(counts) == 12
        assert set(counts.values()) == {2, 3}


def test_on_a_long_tail_only_the_balanced_part_draws_classes_equally() -> None:
    samples = long_tail()
    draw = SubsetBatches(counts=(6, 3, 3)).prepare(samples, 12, 1)
    rows = np.concatenate([draw(step) for step in range(2000)])
    subset, label = samples.subset[rows], samples.label[rows]
    balanced = np.bincount(label[subset == 0], minlength=12) / 12_000
    # Each of 12 classes fills 1 of 12 places: 1000 draws expected, standard deviation below 23.
    assert abs(balanced - 1 / 12).max() < 5 * 23 / 12_000
    plain = np.bincount(label[subset == 1], minlength=12)
    assert plain[0] > 40 * plain[8]


def test_within_a_class_every_sample_has_its_turn() -> None:
    samples = samples_of(np.repeat([0, 1], [30, 3]))
    draw = SubsetBatches(counts=(1,), class_balanced=(True,)).prepare(samples, 2, 0)
    counts = Counter(first(draw, 3000))
    assert set(counts) == set(range(33))
    assert all(60 < counts[row] < 150 for row in range(30))
    assert all(850 < counts[row] < 1150 for row in range(30, 33))


def test_a_subset_that_is_walked_through_is_covered_evenly() -> None:
    samples = samples_of(np.zeros(15, int), np.repeat([0, 1], [5, 10]))
    sampler = SubsetBatches(counts=(1, 1), class_balanced=(False, False))
    counts = Counter(first(sampler.prepare(samples, 10, 0), 4))
    assert {counts[row] for row in range(5)} == {4}
    assert {counts[row] for row in range(5, 15)} == {2}


def test_subsets_are_mixed_within_a_batch() -> None:
    samples = long_tail()
    draw = SubsetBatches().prepare(samples, 64, 0)
    fronts = [samples.subset[draw(step)[:16]].tolist() for step in range(10)]
    assert all(len(set(front)) == 3 for front in fronts)


def test_an_empty_subset_that_has_places_is_said() -> None:
    samples = samples_of(np.arange(8) % 2, np.array([0, 0, 0, 0, 2, 2, -1, -1]))
    with pytest.raises(DataError, match="subset 1 has no samples, but 2 of a batch of 8"):
        SubsetBatches().prepare(samples, 8, 0)


def test_an_empty_subset_without_places_does_not_matter() -> None:
    samples = samples_of(np.arange(8) % 2)
    draw = SubsetBatches(counts=(1, 0, 0)).prepare(samples, 4, 0)
    assert len(draw(0)) == 4


@pytest.mark.parametrize(
    ("counts", "balanced", "words"),
    [
        ((), (), "do not make a batch"),
        ((0, 0), (True, False), "do not make a batch"),
        ((2, -1), (True, False), "do not make a batch"),
        ((1, 1), (True,), r"2 counts \(1, 1\) for 1 subsets"),
    ],
)
def test_counts_that_make_no_batch_are_refused(
    counts: tuple[int, ...], balanced: tuple[bool, ...], words: str
) -> None:
    with pytest.raises(PluginError, match=words):
        SubsetBatches(counts=counts, class_balanced=balanced)


@pytest.mark.parametrize(
    ("counts", "total", "parts"),
    [
        ((128, 64, 64), 256, (128, 64, 64)),
        ((128, 64, 64), 100, (50, 25, 25)),
        ((1, 1), 5, (3, 2)),
        ((1, 1, 1), 2, (1, 1, 0)),
        ((3, 0, 1), 4, (3, 0, 1)),
        ((5,), 7, (7,)),
    ],
)
def test_shares_by_hand(counts: tuple[int, ...], total: int, parts: tuple[int, ...]) -> None:
    assert shares(counts, total) == parts


@given(
    st.lists(st.integers(0, 300), min_size=1, max_size=6).filter(sum).map(tuple),
    st.integers(0, 5000),
)
def test_shares_are_whole_complete_and_within_one_of_the_exact(
    counts: tuple[int, ...], total: int
) -> None:
    parts = shares(counts, total)
    assert sum(parts) == total
    for count, part in zip(counts, parts, strict=True):
        assert abs(part - total * count / sum(counts)) < 1


# ChosenAndAll


def test_a_part_of_every_batch_is_of_the_chosen_in_balance_and_the_rest_of_all() -> None:
    samples = long_tail()
    draw = ChosenAndAll(chosen=0.25).prepare(samples, 48, 0)
    rows = np.concatenate([draw(step) for step in range(200)])
    chosen = samples.subset == 0
    # A quarter, and of the others as many as there are among all samples.
    share = chosen[rows].mean()
    assert share == pytest.approx(0.25 + 0.75 * chosen.mean(), abs=0.01)
    whole = Uniform().prepare(samples, 36, 0)
    others = np.concatenate([whole(step) for step in range(200)])
    balanced = np.bincount(samples.label[rows], minlength=12) - np.bincount(
        samples.label[others], minlength=12
    )
    # Twelve of 48 in each step, once each class, beside what comes uniformly.
    assert balanced.tolist() == pytest.approx([200] * 12, abs=60)


def test_where_nothing_is_chosen_everything_is_drawn() -> None:
    samples = samples_of(np.arange(6) % 2, 1)
    draw = ChosenAndAll().prepare(samples, 6, 0)
    assert sorted(draw(0).tolist()) == list(range(6))


@pytest.mark.parametrize("share", [-0.1, 1.5])
def test_a_share_that_is_none_is_refused(share: float) -> None:
    with pytest.raises(PluginError, match="chosen of ChosenAndAll must be in"):
        ChosenAndAll(chosen=share)
