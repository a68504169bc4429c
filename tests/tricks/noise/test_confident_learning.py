from __future__ import annotations

import numpy as np
import pytest
from cleanlab.count import compute_confident_joint, get_confident_thresholds

from harness.errors import PluginError
from harness.samples import Predictions, StageOutputs
from harness.tricks.noise.confident_learning import (
    ConfidentLearning,
    confident_classes,
    mean_confidence,
)
from harness.tricks.noise.hold_out import HoldOut
from harness.tricks.noise.ranking.folds import fold_of
from harness.values import Stage

SCORE = Stage(name="score")


def predictions_of(probabilities, label, saved=5):
    """What a stage saves of all probabilities ``(N, K)``."""
    classes = np.argsort(-probabilities, axis=1, kind="stable")[:, :saved]
    return Predictions(
        classes.astype(np.int32),
        np.take_along_axis(probabilities, classes, axis=1).astype(np.float32),
        probabilities[np.arange(len(label)), label].astype(np.float32),
    )


@pytest.fixture
def scored(make_samples):
    """Build samples from labels and all probabilities of the stages seen."""

    def make(label, **stages):
        samples = make_samples(label, num_classes=next(iter(stages.values())).shape[1])
        seen = {
            name: StageOutputs(np.zeros((len(label), 1), np.float32), predictions_of(p, label))
            for name, p in stages.items()
        }
        return samples.assign(seen=seen)

    return make


# Thresholds: 0.6 of class 0, 0.5 of class 1, 0.6 of class 2.
LABEL = np.array([0, 0, 0, 1, 1, 2, 2], np.int32)
SAID = np.array(
    [
        [0.9, 0.1, 0.0],
        [0.7, 0.2, 0.1],
        [0.2, 0.7, 0.1],  # confident of class 1: wrong
        [0.1, 0.9, 0.0],
        [0.5, 0.1, 0.4],  # confident of nothing
        [0.0, 0.1, 0.9],
        [0.1, 0.6, 0.3],  # confident of class 1: wrong
    ]
)


def test_seven_samples_by_hand(scored):
    said = predictions_of(SAID, LABEL)
    thresholds = mean_confidence(LABEL, said.of_label, 4)
    np.testing.assert_allclose(thresholds, [0.6, 0.5, 0.6, np.inf], rtol=1e-6)
    assert confident_classes(LABEL, said, thresholds).tolist() == [0, 0, 1, 1, -1, 2, 1]
    after = ConfidentLearning(sees=(SCORE,))(scored(LABEL, score=SAID))
    assert after.subset.tolist() == [0, 0, -1, 0, 0, 0, -1]
    np.testing.assert_array_equal(after.weight, 1)


def drawn(size, classes, seed):
    random = np.random.default_rng(seed)
    true = random.integers(classes, size=size)
    label = np.where(random.random(size) < 0.3, random.integers(classes, size=size), true)
    logits = random.normal(size=(size, classes)) + 2.5 * np.eye(classes)[true]
    said = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    return label.astype(np.int32), said


def paper(label, said):
    """Equations 1 and 2, sample by sample."""
    classes = range(said.shape[1])
    t = [said[label == j, j].mean() if (label == j).any() else np.inf for j in classes]
    found = []
    for p in said:
        confident = [j for j in classes if p[j] >= t[j]]
        found.append(max(confident, key=lambda j: p[j]) if confident else -1)
    return np.array(found)


@pytest.mark.parametrize(("classes", "seed"), [(3, 0), (5, 1), (5, 2), (40, 3)])
def test_it_is_the_papers_confident_joint(classes, seed):
    label, said = drawn(1_500, classes, seed)
    kept = predictions_of(said, label)
    found = confident_classes(label, kept, mean_confidence(label, kept.of_label, classes))
    np.testing.assert_array_equal(found, paper(label, said))
    assert ((found >= 0) & (found != label)).mean() > 0.1


@pytest.mark.parametrize(("classes", "seed"), [(3, 0), (5, 1), (40, 3)])
def test_cleanlab_counts_the_same(classes, seed):
    """But for samples whose likeliest class is not confident while two others are.

    There cleanlab takes the likeliest class, against equation 1; they are few.
    """
    label, said = drawn(1_500, classes, seed)
    kept = predictions_of(said, label)
    thresholds = mean_confidence(label, kept.of_label, classes)
    np.testing.assert_allclose(thresholds, get_confident_thresholds(label, said), rtol=1e-5)
    confident = said >= thresholds - 1e-6
    best = np.take_along_axis(confident, said.argmax(axis=1)[:, None], axis=1)[:, 0]
    same = best | (confident.sum(axis=1) < 2)
    assert same.mean() > 0.95
    joint, wrong = compute_confident_joint(
        label[same],
        said[same],
        thresholds=thresholds,
        calibrate=False,
        return_indices_of_off_diagonals=True,
    )
    found = confident_classes(label, kept, thresholds)[same]
    ours = np.zeros((classes, classes), int)
    np.add.at(ours, (label[same][found >= 0], found[found >= 0]), 1)
    np.fill_diagonal(ours, ours.diagonal().clip(min=1))  # as cleanlab does
    np.testing.assert_array_equal(ours, joint)
    np.testing.assert_array_equal(
        np.flatnonzero((found >= 0) & (found != label[same])), np.sort(wrong)
    )


def test_each_fold_is_scored_by_the_stage_that_held_it_out(scored):
    label, said = drawn(600, 4, 0)
    sure = np.eye(4)[label] * 0.96 + 0.01  # in sample, a network agrees with every label
    whole = scored(label, score=said)
    fold = fold_of(whole, 3, 0)
    stages = {f"score-{n}": np.where((fold == n)[:, None], said, sure) for n in range(3)}
    sees = tuple(Stage(name=name) for name in stages)
    crossed = ConfidentLearning(sees=sees)(scored(label, **stages))
    expected = ConfidentLearning(sees=(SCORE,))(whole)
    np.testing.assert_array_equal(crossed.subset, expected.subset)
    assert 0.1 < (crossed.subset == -1).mean() < 0.4
    in_sample = ConfidentLearning(sees=(SCORE,))(scored(label, score=sure))
    assert (in_sample.subset == 0).all()


def test_folds_are_parts_by_name_and_held_out_once(make_samples):
    samples = make_samples(np.zeros(3_000, np.int32))
    held = [HoldOut(fold=fold, folds=5, seed=1)(samples).subset == -1 for fold in range(5)]
    np.testing.assert_array_equal(np.sum(held, axis=0), 1)
    assert all(0.17 < part.mean() < 0.23 for part in held)
    files = samples.files.copy()
    files[1::2] = files[::2]  # every picture is listed twice
    fold = fold_of(samples.assign(files=files), 5, 1)
    np.testing.assert_array_equal(fold[::2], fold[1::2])
    assert not np.array_equal(fold_of(samples, 5, 2), fold_of(samples, 5, 1))


def test_weights_rise_with_the_rank_of_the_labels_probability(scored):
    after = ConfidentLearning(sees=(SCORE,), use="weigh", floor=0.5)(scored(LABEL, score=SAID))
    np.testing.assert_allclose(after.weight[:3], [4 / 3, 1, 2 / 3], rtol=1e-6)
    assert (after.subset == 0).all()


def test_a_class_that_would_lose_all_samples_keeps_them(scored):
    label = np.array([0, 0, 1, 1], np.int32)
    said = np.array([[0.9, 0.1], [0.9, 0.1], [0.6, 0.4], [0.95, 0.05]])
    said[2] = [0.92, 0.08]
    after = ConfidentLearning(sees=(SCORE,))(scored(label, score=said))
    # Thresholds 0.9 and 0.065: the third is confident of 0 (and of 1, which is less likely).
    assert after.subset.tolist() == [0, 0, 0, 0]


def test_wrong_fields_are_refused():
    with pytest.raises(PluginError, match="has no stage to look at"):
        ConfidentLearning(sees=())
    with pytest.raises(PluginError, match="fold 3 is not one of 0 to 2"):
        HoldOut(fold=3, folds=3)
