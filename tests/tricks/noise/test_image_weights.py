from __future__ import annotations

import numpy as np
import pytest

from harness.errors import PluginError
from harness.samples import Predictions, StageOutputs
from harness.tricks.noise.class_weights import ReweightClasses
from harness.tricks.noise.image_weights import WeighByModel, belief
from harness.values import Stage

TRAIN = Stage(name="train")


@pytest.fixture
def believed(make_samples):
    """Build samples from labels and what the stage "train" says of them."""

    def make(label, of_label, **columns):
        samples = make_samples(label, **columns)
        of_label = np.asarray(of_label, np.float32)
        nothing = np.zeros((len(samples), 1))
        top = Predictions(nothing.astype(np.int32), nothing.astype(np.float32), of_label)
        return samples.assign(seen={"train": StageOutputs(nothing.astype(np.float32), top)})

    return make


def test_weights_are_raised_to_the_floor_and_divided_by_their_mean():
    # raised: .9 .5 .1 .1, mean .4
    found = belief(np.array([0.9, 0.5, 0.1, 0.02], np.float32), floor=0.1)
    np.testing.assert_allclose(found, [2.25, 1.25, 0.25, 0.25], rtol=1e-6)
    assert found.dtype == np.float32


def test_every_class_keeps_the_weight_that_it_had(believed):
    samples = believed(
        [0, 0, 1, 1, 1], [0.8, 0.4, 0.1, 0.2, 0.3], weight=np.array([2, 2, 1, 1, 1], np.float32)
    )
    weighed = WeighByModel(sees=TRAIN, floor=0.1)(samples)
    # class 0: (.8, .4) / .6; class 1: (.1, .2, .3) / .2
    np.testing.assert_allclose(weighed.weight, [8 / 3, 4 / 3, 0.5, 1, 1.5], rtol=1e-6)
    np.testing.assert_array_equal(samples.weight, [2, 2, 1, 1, 1])


def test_the_order_of_class_and_image_weights_does_not_matter(believed):
    random = np.random.default_rng(0)
    samples = believed(random.integers(0, 4, 200) ** 2, random.random(200), num_classes=10)
    images, classes = WeighByModel(sees=TRAIN), ReweightClasses()
    one, other = images(classes(samples)).weight, classes(images(samples)).weight
    np.testing.assert_allclose(one, other, rtol=1e-5)
    assert one.mean() == pytest.approx(1)


def test_what_was_left_out_is_not_counted_and_keeps_its_weight(believed):
    samples = believed(
        [0, 0, 0],
        [0.6, 0.2, 1.0],
        weight=np.array([1, 1, 7], np.float32),
        subset=np.array([0, 0, -1], np.int8),
    )
    np.testing.assert_allclose(WeighByModel(sees=TRAIN)(samples).weight, [1.5, 0.5, 7])


def test_no_weight_leaves_the_bounds_and_a_floor_of_one_changes_nothing():
    of_label = np.array([1.0] + [0.0] * 999, np.float32)
    found = belief(of_label, floor=0.1)
    assert 0.1 <= found.min() <= found.max() <= 10
    assert found.mean() == pytest.approx(1)
    assert (belief(of_label, floor=1.0) == 1).all()


def test_confident_learning_agrees(believed):
    """cleanlab's confident learning, on cross-validated probabilities of labels partly wrong."""
    from cleanlab.filter import find_label_issues
    from cleanlab.rank import get_self_confidence_for_each_label
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import cross_val_predict

    random = np.random.default_rng(0)
    truth = np.repeat(np.arange(3), (150, 100, 50))
    features = random.standard_normal((300, 4)) + 2.5 * np.eye(3, 4)[truth]
    wrong = random.random(300) < 0.2
    label = np.where(wrong, (truth + random.integers(1, 3, 300)) % 3, truth)
    said = cross_val_predict(LogisticRegression(), features, label, method="predict_proba")
    samples = believed(label, said[np.arange(300), label])
    weight = WeighByModel(sees=TRAIN, floor=1e-6)(samples).weight

    issue = find_label_issues(label, said, n_jobs=1)
    assert 30 < issue.sum() < 90
    score = get_self_confidence_for_each_label(label, said)
    for k in range(3):
        of_class = label == k
        np.testing.assert_array_equal(np.argsort(weight[of_class]), np.argsort(score[of_class]))
        assert weight[of_class & issue].max() < 1 < weight[of_class & ~issue].mean()
    assert weight[wrong].mean() < 0.5 * weight[~wrong].mean()


@pytest.mark.parametrize("floor", [0.0, -0.1, 1.5, float("nan")])
def test_a_bad_floor_is_refused(floor):
    with pytest.raises(PluginError, match=r"floor must be in \(0, 1\], got"):
        WeighByModel(sees=TRAIN, floor=floor)
    with pytest.raises(PluginError, match=r"floor must be in \(0, 1\], got"):
        belief(np.ones(2, np.float32), floor=floor)


def test_a_stage_that_is_not_seen_is_named(make_samples):
    with pytest.raises(PluginError, match="add it to sees="):
        WeighByModel(sees=TRAIN)(make_samples([0, 1]))
