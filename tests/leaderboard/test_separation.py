"""Which rows are told apart, and the ranks and letters that follow from it."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.statistics.intervals import paired_difference
from harness.statistics.many import p_value_among_many
from harness.statistics.verdicts import holm
from harness_leaderboard.separation import (
    Separation,
    against,
    difference,
    groups_of,
    ranks_of,
    separate,
)

IMAGES = 400


def answers(random, shares, seeds=(0, 1, 2), images=IMAGES):
    """A row for each share: by seed, whether each image is right."""
    return [{seed: random.random((1, images)) < share for seed in seeds} for share in shares]


def test_a_difference_is_that_of_compare_on_the_shared_seeds():
    upper, lower = answers(np.random.default_rng(0), (0.6, 0.5), seeds=(0, 1, 2, 3))
    del lower[1]
    shared = [np.concatenate([side[seed] for seed in (0, 2, 3)]) for side in (upper, lower)]
    assert difference(upper, lower) == paired_difference(*shared)
    assert difference(upper, {7: lower[0]}) is None


def test_pairs_are_adjusted_together_and_told_apart_below_five_percent():
    rows = answers(np.random.default_rng(1), (0.8, 0.79, 0.55, 0.5))
    found = separate(rows)
    pairs = list(combinations(range(4), 2))
    tables = [np.concatenate(list(row.values())) for row in rows]
    plain = [p_value_among_many(tables[one], tables[other]) for one, other in pairs]
    assert found.p_values == pytest.approx(dict(zip(pairs, holm(plain), strict=True)), rel=1e-9)
    assert found.better == {(0, 2), (0, 3), (1, 2), (1, 3)}
    assert ranks_of(4, found.better) == [(1, 2), (1, 2), (3, 4), (3, 4)]
    assert groups_of(4, found) == ["a", "a", "b", "b"]


def test_rows_are_compared_with_their_baseline_however_many_there_are():
    random = np.random.default_rng(4)
    shares = (0.5, 0.5, 0.61, 0.39, *(0.5,) * 20)
    rows = answers(random, shares, seeds=range(6))
    rows[5] = {9: rows[5][0]}  # shares no seed with any
    baselines = [None, *(0,) * 23]
    found = separate(rows)
    tables = [np.concatenate(list(row.values())) for row in rows]
    tested = [place for place in range(1, 24) if place != 5]
    alone = [p_value_among_many(tables[place], tables[0]) for place in tested]
    expected = {
        place: ("better" if tables[place].sum() > tables[0].sum() else "worse") if p < 0.05 else ""
        for place, p in zip(tested, holm(alone), strict=True)
    }
    outcomes = against(found, baselines)
    assert outcomes == expected
    assert (outcomes[1], outcomes[2], outcomes[3]) == ("", "better", "worse")
    # Among all 253 pairs the same tests decide nothing.
    assert not found.told_apart(0, 2)
    assert against(found, [None] * 24) == {}
    assert against(found, [2, *(None,) * 23]) == {0: "worse"}


def test_rows_of_other_seeds_are_tested_on_those_that_they_share():
    random = np.random.default_rng(5)
    rows = [
        *answers(random, (0.8, 0.5), seeds=(0, 1, 2, 3, 4)),
        *answers(random, (0.6,), seeds=(4, 2, 0)),
        *answers(random, (0.7,), seeds=(3, 4, 9)),
        {},
    ]
    found = separate(rows)
    shared = {(0, 1): (0, 1, 2, 3, 4), (0, 2): (0, 2, 4), (1, 2): (0, 2, 4)}
    tables = {
        pair: [np.concatenate([rows[place][seed] for seed in seeds]) for place in pair]
        for pair, seeds in shared.items()
    }
    plain = [p_value_among_many(*two) for two in tables.values()]
    assert found.p_values == pytest.approx(dict(zip(shared, holm(plain), strict=True)), rel=1e-9)


def test_two_shared_seeds_are_too_few_to_tell_rows_apart():
    random = np.random.default_rng(2)
    rows = [*answers(random, (0.9,)), *answers(random, (0.1,), seeds=(0, 1, 9))]
    assert separate(rows) == Separation({}, frozenset())
    assert separate([rows[0], {}]) == Separation({}, frozenset())


def test_the_better_row_is_the_better_one_whatever_the_order():
    rows = answers(np.random.default_rng(3), (0.2, 0.9))
    assert separate(rows).better == {(1, 0)}


def test_what_lies_between_two_groups_is_in_both():
    found = Separation({}, frozenset({(0, 2)}))
    assert groups_of(3, found) == ["a", "ab", "b"]
    assert ranks_of(3, found.better) == [(1, 2), (1, 3), (2, 3)]


@given(st.sets(st.sampled_from(list(combinations(range(7), 2)))))
def test_rows_share_a_letter_exactly_if_they_are_not_told_apart(pairs):
    letters = [set(text) for text in groups_of(7, Separation({}, frozenset(pairs)))]
    for one, other in combinations(range(7), 2):
        assert bool(letters[one] & letters[other]) == ((one, other) not in pairs)


def test_a_board_of_too_many_groups_has_no_letters():
    pairs = frozenset(combinations(range(30), 2))
    assert groups_of(30, Separation({}, pairs)) == [""] * 30
    assert groups_of(0, Separation({}, frozenset())) == []


@pytest.mark.parametrize("deviation", [0.0, 0.03])
def test_equal_methods_are_seldom_told_apart(deviation):
    """Five equal methods with three seeds, 200 boards: on 5 % of them a pair may be told apart."""
    random = np.random.default_rng(4)
    wrong = 0
    for _ in range(200):
        levels = 0.5 + deviation * random.standard_normal((5, 3))
        rows = [
            {seed: random.random((1, 200)) < level for seed, level in enumerate(own)}
            for own in levels
        ]
        wrong += bool(separate(rows).better)
    assert wrong <= 10
