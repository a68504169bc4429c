from __future__ import annotations

import numpy as np
import pytest

from harness.errors import PluginError
from harness.samples import Predictions, StageOutputs
from harness.tricks.noise.correct_labels import CorrectLabels
from harness.values import Stage

STAGE = Stage(name="first")


@pytest.fixture
def samples(make_samples):
    """Of four classes: sure of another, unsure but allowed, not allowed, sure of its own."""
    said = Predictions(
        np.array([[2, 0], [1, 0], [3, 1], [1, 0]], np.int32),
        np.array([[0.9, 0.05], [0.6, 0.3], [0.7, 0.1], [0.81, 0.1]], np.float32),
        np.array([0.05, 0.3, 0.2, 0.81], np.float32),
    )
    seen = {"first": StageOutputs(np.zeros((4, 1), np.float32), said)}
    return make_samples([0, 0, 2, 1], num_classes=4).assign(seen=seen)


def test_four_samples_by_hand(samples):
    after = CorrectLabels(sees=(STAGE,), threshold=0.8)(samples)
    assert after.label.tolist() == [2, 0, 2, 1]
    assert after.subset.tolist() == [0, 0, -1, 0]


def test_what_was_left_out_stays_out_and_all_are_never_left_out(samples):
    out = samples.assign(subset=np.array([-1, 0, 0, 0], np.int8))
    assert CorrectLabels(sees=(STAGE,))(out).subset.tolist() == [-1, 0, -1, 0]
    one = samples.assign(subset=np.array([-1, -1, 0, -1], np.int8))
    assert CorrectLabels(sees=(STAGE,))(one).subset.tolist() == [-1, -1, 0, -1]


def test_a_threshold_above_one_is_refused():
    with pytest.raises(PluginError, match=r"threshold must be in \[0, 1\], got 1.5"):
        CorrectLabels(sees=(STAGE,), threshold=1.5)
