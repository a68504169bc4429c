"""Joining several networks' answers: small cases by hand, and what a learned weight must do."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import log_softmax, softmax

from harness.errors import HarnessError
from harness.samples import Samples
from harness.testing.ensemble import (
    Ensemble,
    combine_members,
    cross_fitted,
    learned_weights,
    weigh_members,
)
from harness.testing.metrics import top_classes

A = np.array([[0.5, 0.3, 0.2]], np.float32)
B = np.array([[0.1, 0.7, 0.2]], np.float32)
C = np.array([[0.4, 0.1, 0.5]], np.float32)


def said_by(labels: np.ndarray, classes: int, skill: float, seed: int) -> np.ndarray:
    """Probabilities of a network that is right as often as its skill makes it."""
    logits = np.random.default_rng(seed).standard_normal((len(labels), classes))
    logits[np.arange(len(labels)), labels] += skill
    return softmax(logits, axis=1).astype(np.float32)


def test_the_mean_is_the_mean_of_probabilities() -> None:
    np.testing.assert_allclose(combine_members([A, B], "mean"), [[0.3, 0.5, 0.2]], atol=1e-7)


def test_votes_for_five_guesses_by_hand() -> None:
    # Seven classes; each member has two outside its five. Votes: 3 3 2 2 2 2 1 for classes 0 to 6.
    first = np.array([[0.30, 0.20, 0.15, 0.14, 0.12, 0.05, 0.04]], np.float32)
    second = np.array([[0.20, 0.30, 0.15, 0.01, 0.02, 0.17, 0.15]], np.float32)
    third = np.array([[0.30, 0.20, 0.01, 0.16, 0.13, 0.15, 0.05]], np.float32)
    joined = combine_members([first, second, third], "vote")
    first_votes = np.array([2, 1, 0, 0, 0, 0, 0]) / 4  # who is put first breaks ties
    scores = np.array([3, 3, 2, 2, 2, 2, 1]) + first_votes
    np.testing.assert_allclose(joined[0], scores / scores.sum(), atol=1e-6)
    # Of classes 2 to 5, two votes each, the geometric means .0282 .0282 .0315 .0505 decide.
    ranked = top_classes(combine_members([first, second, third], "vote_mean_logits"), 5).classes[0]
    means = np.exp(np.mean([np.log(part[0, 2:6]) for part in (first, second, third)], axis=0))
    assert ranked[:2].tolist() == [0, 1]
    assert ranked[2] == 2 + means.argmax()


def test_the_weighed_answer_is_the_softmax_of_weighed_logits() -> None:
    members = [A, B, C]
    weights = np.array([1.0, 0.5, 0.0])
    logits = sum(w * np.log(m) for w, m in zip(weights, members, strict=True))
    np.testing.assert_allclose(weigh_members(members, weights), softmax(logits, axis=1), atol=1e-6)
    np.testing.assert_allclose(weigh_members([A], np.ones(1)), A, atol=1e-6)


def test_a_probability_of_nought_does_not_end_it() -> None:
    sure = np.array([[1.0, 0.0, 0.0]], np.float32)
    for combine in ("mean", "vote", "vote_mean_logits"):
        joined = combine_members([sure, B], combine)
        assert np.isfinite(joined).all()
        assert joined.sum() == pytest.approx(1)


def test_learned_weights_lie_at_slope_zero() -> None:
    labels = np.random.default_rng(0).integers(0, 10, 3_000).astype(np.int32)
    members = [said_by(labels, 10, skill, seed) for seed, skill in enumerate((2.0, 1.0, 0.0))]
    weights = learned_weights(members, labels)

    def loss(weights: np.ndarray) -> float:
        logits = sum(w * np.log(m) for w, m in zip(weights, members, strict=True))
        return -log_softmax(logits, axis=1)[np.arange(len(labels)), labels].mean()

    # Independent normal logits with the label's raised: the best weights are the skills themselves.
    np.testing.assert_allclose(weights, [2.0, 1.0, 0.0], atol=0.12)
    for place in range(3):
        for step in (-0.01, 0.01):
            moved = weights.copy()
            moved[place] = max(0, moved[place] + step)
            assert loss(moved) >= loss(weights) - 1e-9


def test_an_answer_to_a_picture_is_not_taught_by_its_own_label() -> None:
    labels = np.random.default_rng(1).integers(0, 5, 200).astype(np.int32)
    members = [said_by(labels, 5, skill, seed) for seed, skill in enumerate((1.5, 0.5))]
    answers = cross_fitted(members, labels)
    for picture in range(0, 200, 40):
        changed = labels.copy()
        changed[picture] = (changed[picture] + 1) % 5
        np.testing.assert_array_equal(cross_fitted(members, changed)[picture], answers[picture])
    in_sample = weigh_members(members, learned_weights(members, labels))
    assert not np.array_equal(answers, in_sample)


def test_chance_labels_are_not_answered_above_chance() -> None:
    random = np.random.default_rng(2)
    labels = random.integers(0, 4, 4_000).astype(np.int32)
    members = [said_by(random.integers(0, 4, 4_000), 4, 2.0, seed) for seed in range(6)]
    right = cross_fitted(members, labels).argmax(1) == labels
    assert abs(right.mean() - 0.25) < 0.03


def test_weights_learned_on_val_answer_the_test(small_samples: Samples) -> None:
    val, test = (small_samples.assign(split=split) for split in ("val", "test"))
    members = [said_by(val.label, 3, skill, seed) for seed, skill in enumerate((2.0, 0.5))]
    ensemble = Ensemble("learned")
    with pytest.raises(HarnessError, match="needs a val split with labels"):
        ensemble.join(test, "1 view", members)
    ensemble.join(val, "1 view", members)
    wanted = weigh_members(members, learned_weights(members, val.label))
    np.testing.assert_array_equal(ensemble.join(test, "1 view", members), wanted)
    assert ensemble.join(test, "10 views", members[:1]) is members[0]
