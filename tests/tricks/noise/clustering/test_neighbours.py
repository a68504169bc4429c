from __future__ import annotations

import numpy as np
import pytest

from harness.tricks.noise.clustering.neighbours import (
    Bracket,
    Cloud,
    _brackets,
    _count,
    count_nearer,
)

SIZE = 200
RANK = 11_000  # of 19,900 pairs


@pytest.fixture(scope="module")
def x():
    return np.random.default_rng(0).standard_normal((SIZE, 5)).astype(np.float32)


def every_distance(features_ND):
    wide = features_ND.astype(np.float64)
    return np.stack([np.sum((wide - row) ** 2, axis=1) for row in wide])


def literal(features_ND, rank):
    squares = every_distance(features_ND)
    d_c = np.sort(squares[np.triu_indices(len(squares), 1)])[rank]
    return (squares < d_c).sum(axis=1) - (d_c > 0)


@pytest.mark.parametrize("rank", [0, 1, 500, RANK, 19_898, 19_899])
@pytest.mark.parametrize("block", [16, 64, 200])
def test_every_rank(x, rank, block):
    counts = count_nearer(x, rank, block=block, spread=4, seed=0)
    np.testing.assert_array_equal(counts, literal(x, rank))


@pytest.mark.parametrize(("low", "high"), [(0.0, 0.1), (1e6, 1e7)])
def test_a_bracket_that_misses_is_noticed(x, low, high):
    assert _count(Cloud.of(x), RANK, Bracket(low, high, 1e9), 32) is None


def test_after_a_miss_a_wider_bracket_is_tried(x):
    missed = 0
    for seed in range(12):  # a bracket of no width misses now and then
        bracket = next(_brackets(Cloud.of(x), RANK, 0.0, seed))
        missed += _count(Cloud.of(x), RANK, bracket, 32) is None
        counts = count_nearer(x, RANK, block=32, spread=0.0, seed=seed)
        np.testing.assert_array_equal(counts, literal(x, RANK))
    assert missed


def test_later_brackets_are_wider(x):
    brackets = _brackets(Cloud.of(x), RANK, 4.0, seed=0)
    widths = [bracket.high - bracket.low for bracket, _ in zip(brackets, range(4), strict=False)]
    assert widths == sorted(widths)
    assert widths[-1] == np.inf


@pytest.mark.parametrize("edge", ["low", "high"])
def test_a_bracket_that_ends_exactly_at_the_distance_works(edge):
    line = np.arange(40, dtype=np.float32).reshape(-1, 1)
    d_c = np.sort(every_distance(line)[np.triu_indices(40, 1)])[460]
    bracket = Bracket(d_c, np.inf, 1e9) if edge == "low" else Bracket(-np.inf, d_c, 1e9)
    answer = _count(Cloud.of(line), 460, bracket, 8)
    assert answer is None or (answer == literal(line, 460)).all()


def test_squared_distances_are_within_the_error_bound():
    random = np.random.default_rng(0)
    wide = np.abs(random.standard_normal((300, 2_048))).astype(np.float32) + 3
    cloud = Cloud.of(wide)
    found = cloud.left(slice(0, 300)) @ cloud.rows.T
    i, j = np.triu_indices(300, 1)
    error = np.abs(found[i, j] - cloud.measure(i, j))
    assert (error < cloud.errors(i, j)).all()
    np.testing.assert_allclose(cloud.measure(i, j), every_distance(wide)[i, j], rtol=1e-12)
