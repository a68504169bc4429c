from __future__ import annotations

import numpy as np
import pytest

from harness.errors import PluginError
from harness.samples import Predictions, StageOutputs, Targets
from harness.tricks.noise.pseudo_labels import PseudoLabels, average_predictions
from harness.values import Stage

ONE, TWO, THREE = (Stage(name=name) for name in ("first", "second", "third"))


def predictions(classes, probabilities):
    size = len(classes)
    return Predictions(
        np.array(classes, np.int32), np.array(probabilities, np.float32), np.zeros(size, np.float32)
    )


FIRST = predictions([[2, 0], [1, 3]], [[0.6, 0.3], [0.5, 0.25]])
SECOND = predictions([[0, 1], [3, 1]], [[0.5, 0.25], [0.5, 0.25]])


@pytest.fixture
def samples(make_samples):
    seen = {
        name: StageOutputs(np.zeros((2, 1), np.float32), stage)
        for name, stage in (("first", FIRST), ("second", SECOND))
    }
    return make_samples([0, 1], num_classes=4).assign(seen=seen)


def test_the_average_by_hand():
    """Row 0: class 0 has (.3 + .5) / 2, class 2 .6 / 2, class 1 .25 / 2; row 1: a tie of .375."""
    classes, means = average_predictions([FIRST, SECOND], keep=3)
    assert classes[:, :2].tolist() == [[0, 2], [1, 3]]
    assert classes[0, 2] == 1
    np.testing.assert_allclose(means, [[0.4, 0.3, 0.125], [0.375, 0.375, 0]])


def test_the_average_is_that_of_the_whole_distributions():
    random = np.random.default_rng(0)
    whole = random.dirichlet(np.full(5, 0.3), size=(3, 40)).astype(np.float32)
    order = np.argsort(-whole, axis=2)
    stages = [
        predictions(order[m], np.take_along_axis(whole[m], order[m], axis=1)) for m in range(3)
    ]
    classes, means = average_predictions(stages, keep=5)
    dense = whole.mean(axis=0)
    np.testing.assert_allclose(np.take_along_axis(dense, classes, axis=1), means, rtol=1e-5)
    np.testing.assert_array_equal(classes[:, 0], dense.argmax(axis=1))
    np.testing.assert_allclose(means.sum(axis=1), 1, rtol=1e-5)


def test_hard_labels_are_the_most_probable_classes(samples):
    after = PseudoLabels(sees=(ONE, TWO))(samples)
    assert after.targets.classes.tolist() == [[0], [1]]
    assert after.targets.weights.tolist() == [[1], [1]]
    assert PseudoLabels(sees=(ONE,))(samples).targets.classes.tolist() == [[2], [1]]
    np.testing.assert_array_equal(after.label, samples.label)


def test_soft_labels_add_up_to_one(samples):
    after = PseudoLabels(sees=(ONE, TWO), kind="soft", keep=2)(samples)
    assert after.targets.classes.tolist() == [[0, 2], [1, 3]]
    np.testing.assert_allclose(after.targets.weights, [[4 / 7, 3 / 7], [0.5, 0.5]])
    assert after.targets.weights.dtype == np.float32


def test_they_replace_keywords_and_keep_what_was_left_out(samples):
    tagged = samples.assign(
        targets=Targets(np.full((2, 1), 8, np.int32), np.ones((2, 1), np.float32)),
        target_names=tuple("abcdefghi"),
        subset=np.array([-1, 0], np.int8),
    )
    after = PseudoLabels(sees=(ONE,))(tagged)
    assert after.target_names == ()
    assert after.num_outputs == 4
    assert after.subset.tolist() == [-1, 0]


@pytest.mark.parametrize(
    ("bad", "said"),
    [
        ({"sees": ()}, r"sees must have 1 or more values, got \(\)"),
        ({"sees": (ONE,), "kind": "firm"}, "kind must be one of hard, soft, got 'firm'"),
        ({"sees": (ONE,), "keep": 0}, "keep must be an int > 0, got 0"),
    ],
)
def test_bad_values_are_refused(bad, said):
    with pytest.raises(PluginError, match=said):
        PseudoLabels(**bad)


def test_a_stage_that_is_not_seen_is_said(samples):
    with pytest.raises(PluginError, match="stage 'third' cannot be seen"):
        PseudoLabels(sees=(THREE,))(samples)
