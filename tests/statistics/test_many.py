"""The p-value for tests of many pairs."""

from __future__ import annotations

import numpy as np
import pytest

from harness.errors import HarnessError
from harness.statistics import many
from harness.statistics.intervals import paired_difference
from harness.statistics.many import p_value_among_many, p_values_of_pairs


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


@pytest.mark.parametrize("seeds", [2, 3, 10])
@pytest.mark.parametrize("at_once", [1, 700, 1 << 22])
def test_all_pairs_at_once_have_the_p_values_of_single_pairs(
    seeds: int, at_once: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(many, "AT_ONCE", at_once)
    random = np.random.default_rng(seeds)
    hard = random.random(301)
    shares = (0.1, 0.12, 0.4, 0.9)
    tables = np.stack([random.random((seeds, 301)) * 0.5 + share > hard for share in shares])
    always, never = np.ones_like(tables[0]), np.zeros_like(tables[0])
    one_image = never.copy()
    one_image[:, 7] = True
    one_seed = never.copy()
    one_seed[0] = True
    tables = np.stack([*tables, tables[0], always, never, one_image, one_seed])
    found = p_values_of_pairs(tables)
    assert np.array_equal(found, found.T)
    for one, better in enumerate(tables):
        single = [p_value_among_many(better, worse) for worse in tables]
        np.testing.assert_allclose(found[one], single, rtol=1e-9, atol=0)


def test_pairs_need_two_seeds_and_two_images() -> None:
    for shape in ((2, 1, 5), (2, 5, 1)):
        with pytest.raises(HarnessError, match="two seeds and two images"):
            p_values_of_pairs(np.zeros(shape, np.bool_))
