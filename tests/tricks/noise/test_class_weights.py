from __future__ import annotations

import numpy as np
import pytest

from harness.errors import PluginError
from harness.tricks.noise.class_weights import ReweightClasses, class_factors


def test_factors_are_the_mean_class_size_over_ones_own():
    # 6 samples of 3 classes: 2 a class; sizes 3, 1 and 2.
    label = np.array([0, 0, 0, 4, 7, 7], np.int32)
    np.testing.assert_allclose(class_factors(label), [2 / 3, 2 / 3, 2 / 3, 2, 1, 1], rtol=1e-6)
    np.testing.assert_allclose(class_factors(label, exponent=2)[:4], [4 / 9] * 3 + [4], rtol=1e-6)
    assert class_factors(label, exponent=0).tolist() == [1] * 6


def test_every_class_weighs_as_much_and_the_mean_is_1(make_samples):
    weight = ReweightClasses()(make_samples([0, 0, 0, 1, 2, 2])).weight
    np.testing.assert_allclose(weight, [2 / 3, 2 / 3, 2 / 3, 2, 1, 1], rtol=1e-6)
    assert weight.dtype == np.float32


def test_half_way_a_class_weighs_the_square_root_of_its_size(make_samples):
    label = np.repeat([0, 1], [64, 4])
    weight = ReweightClasses(exponent=0.5)(make_samples(label)).weight
    totals = np.bincount(label, weight)
    assert totals[0] / totals[1] == pytest.approx(4)
    assert weight.mean() == pytest.approx(1)


def test_weights_of_before_are_multiplied_and_their_mean_is_1(make_samples):
    samples = make_samples([0, 0, 1], weight=np.array([1, 3, 2], np.float32))
    weight = ReweightClasses()(samples).weight
    # Factors 3/4, 3/4 and 3/2 give 3/4, 9/4 and 3: 6 in all.
    np.testing.assert_allclose(weight, [0.375, 1.125, 1.5], rtol=1e-6)
    assert samples.weight.tolist() == [1, 3, 2]


def test_what_was_left_out_is_not_counted_and_keeps_its_weight(make_samples):
    subset = np.array([0, 1, -1, -1, 0], np.int8)
    samples = make_samples(
        [0, 0, 0, 0, 1], subset=subset, weight=np.array([1, 1, 5, 6, 1], np.float32)
    )
    np.testing.assert_allclose(ReweightClasses()(samples).weight, [0.75, 0.75, 5, 6, 1.5])


@pytest.mark.parametrize("subset", [-1, 0])
def test_nothing_left_and_weights_of_0_stay_finite(make_samples, subset):
    nothing = make_samples([0, 1], subset=np.full(2, subset, np.int8), weight=np.zeros(2, "f4"))
    assert ReweightClasses()(nothing).weight.tolist() == [0, 0]


@pytest.mark.parametrize("exponent", [-1, np.inf, np.nan])
def test_an_exponent_that_is_none_is_refused(exponent):
    with pytest.raises(PluginError, match="exponent"):
        ReweightClasses(exponent=exponent)
