"""Accuracies against hand-worked numbers and scikit-learn."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import recall_score, top_k_accuracy_score

from harness.testing.metrics import accuracy, top_classes


def random_answers(size: int, classes: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    logits = random.standard_normal((size, classes)).astype(np.float32)
    labels = random.integers(0, classes, size).astype(np.int32)
    logits[np.arange(size), labels] += 1
    shares = np.exp(logits)
    return (shares / shares.sum(axis=1, keepdims=True)).astype(np.float32), labels


def test_by_hand() -> None:
    probabilities = np.array(
        [[0.7, 0.2, 0.1], [0.1, 0.6, 0.3], [0.5, 0.3, 0.2], [0.2, 0.3, 0.5]], np.float32
    )
    labels = np.array([0, 2, 1, 1], np.int32)
    top = top_classes(probabilities, 2)
    assert top.classes.tolist() == [[0, 1], [1, 2], [0, 1], [2, 1]]
    np.testing.assert_allclose(top.probabilities[1], [0.6, 0.3])
    one, two = (accuracy(top.classes, labels, 3, k) for k in (1, 2))
    assert (one.flat, one.class_mean) == (0.25, pytest.approx(1 / 3))
    assert one.per_class.tolist() == [1, 0, 0]
    assert (two.flat, two.class_mean) == (1.0, 1.0)


def test_the_lower_class_comes_first_if_two_tie() -> None:
    flat = np.full((2, 6), 1 / 6, np.float32)
    assert top_classes(flat, 5).classes.tolist() == [[0, 1, 2, 3, 4]] * 2
    labels = np.array([0, 5], np.int32)
    assert accuracy(top_classes(flat, 5).classes, labels, 6, 1).flat == 0.5
    assert accuracy(top_classes(flat, 5).classes, labels, 6, 5).flat == 0.5


def test_fewer_classes_than_five_make_top_five_certain() -> None:
    probabilities, labels = random_answers(20, 3, 0)
    top = top_classes(probabilities, 5)
    assert top.classes.shape == (20, 3)
    assert accuracy(top.classes, labels, 3, 5).flat == 1.0


def test_a_class_without_samples_is_left_out_of_the_mean() -> None:
    ranked = np.array([[0], [0], [2]], np.int32)
    found = accuracy(ranked, np.array([0, 2, 2], np.int32), 4, 1)
    assert found.class_mean == 0.75
    np.testing.assert_array_equal(found.per_class, [1, np.nan, 0.5, np.nan])


# Few samples of many classes look to scikit-learn like a regression; here they are meant.
@pytest.mark.filterwarnings("ignore:The number of unique classes is greater:UserWarning")
@given(
    size=st.integers(1, 200),
    classes=st.integers(3, 30),
    seed=st.integers(0, 99),
    k=st.integers(1, 5),
)
def test_as_scikit_learn(size: int, classes: int, seed: int, k: int) -> None:
    probabilities, labels = random_answers(size, classes, seed)
    top = top_classes(probabilities, 5)
    found = accuracy(top.classes, labels, classes, k)
    if k < classes:
        flat = top_k_accuracy_score(labels, probabilities, k=k, labels=np.arange(classes))
        assert found.flat == pytest.approx(flat)
    if k == 1:
        present = np.unique(labels)
        recall = recall_score(labels, top.classes[:, 0], labels=present, average="macro")
        assert found.class_mean == pytest.approx(recall)
