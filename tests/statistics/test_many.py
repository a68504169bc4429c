"""The p-value for tests of many pairs."""

from __future__ import annotations

import numpy as np
import pytest

from harness.statistics.intervals import paired_difference
from harness.statistics.many import p_value_among_many


def answers(seed, seeds=3, images=500):
    random = np.random.default_rng(seed)
    hard = random.random(images)
    return [random.random((seeds, images)) * 0.6 + shift > hard for shift in (0.3, 0.2)]


def test_it_is_never_below_that_of_the_interval():
    for seed in range(30):
        better, worse = answers(seed)
        assert p_value_among_many(better, worse) >= paired_difference(better, worse).p_value()


def test_seeds_that_agree_by_chance_do_not_make_a_difference_certain():
    """Each seed has exactly 30 images more, others in each seed: the means have no variance."""
    better, worse = np.zeros((2, 3, 300))
    for seed in range(3):
        better[seed, 100 * seed : 100 * seed + 60] = 1
        worse[seed, 100 * seed + 60 : 100 * seed + 90] = 1
    found = paired_difference(better, worse)
    assert found.estimate == pytest.approx(0.1)
    assert found.p_value() < 1e-30
    assert 0.001 < p_value_among_many(better, worse) < 0.2


def test_large_variance_between_seeds_changes_nothing():
    better, worse = answers(0)
    better[0] = True
    interval = paired_difference(better, worse)
    assert p_value_among_many(better, worse) == pytest.approx(interval.p_value())


def test_with_one_seed_it_is_that_of_the_images():
    better, worse = answers(0, seeds=1)
    assert p_value_among_many(better, worse) == paired_difference(better, worse).p_value()
