from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import confusion_matrix

from harness.tricks.noise.clustering.confused_classes import confused_classes


def test_the_most_confused_come_first():
    label = np.array([0, 0, 0, 0, 1, 1, 2, 3])
    predicted = np.array([1, 1, 2, 0, 1, 1, 0, 3])
    # 0 and 1: 2/4 + 0; 0 and 2: 1/4 + 1; nothing else.
    assert confused_classes(label, predicted, num_classes=5, count=2) == [[2, 1], [0], [0], [], []]
    assert confused_classes(label, predicted, num_classes=5, count=1) == [[2], [0], [0], [], []]
    assert confused_classes(label, predicted, num_classes=5, count=0) == [[]] * 5


def test_of_equally_confused_classes_the_lower_comes_first():
    label, predicted = np.array([1, 1, 1, 2, 0]), np.array([2, 0, 3, 2, 0])
    assert confused_classes(label, predicted, num_classes=4, count=3)[1] == [0, 2, 3]


@pytest.mark.parametrize("seed", range(3))
def test_it_agrees_with_the_full_confusion_matrix(seed):
    random = np.random.default_rng(seed)
    label, predicted = random.integers(0, 12, (2, 400))
    rates = confusion_matrix(label, predicted, normalize="true")
    both = rates + rates.T
    np.fill_diagonal(both, 0)
    ours = confused_classes(label, predicted, num_classes=12, count=4)
    for k, others in enumerate(ours):
        np.testing.assert_allclose(both[k, others], np.sort(both[k])[::-1][:4])


def test_no_samples_confuse_nothing():
    nothing = np.empty(0, np.int32)
    assert confused_classes(nothing, nothing, num_classes=2, count=3) == [[], []]
