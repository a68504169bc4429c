from __future__ import annotations

import numpy as np
import pytest

from harness.errors import HarnessError, PluginError
from harness.samples import Targets
from harness.tricks.epoch import vote_of_neighbours as file
from harness.tricks.epoch.vote_of_neighbours import VoteOfNeighbours, agreement


def test_votes_are_balanced_by_the_classes_shares_by_hand():
    # Three votes of a class with 3/4 of all labels, one of a class with 1/4: both count 4.
    neighbours = np.array([[0, 0, 0, 1], [0, 0, 1, 1]], np.int32)
    shares = np.array([0.75, 0.25, 0.0])
    found = agreement(neighbours, np.array([0, 0], np.int32), shares)
    np.testing.assert_allclose(found, [1.0, (2 / 0.75) / (2 / 0.25)])
    assert agreement(neighbours, np.array([1, 1], np.int32), shares).tolist() == [1, 1]


def voted(features, said, label, theta_r, theta_s, k):
    """The paper's two steps, sample by sample, over all cosines."""
    label = np.array(label)
    for row, probabilities in enumerate(said):
        if probabilities.max() > theta_r:
            label[row] = probabilities.argmax()
    unit = features / np.linalg.norm(features, axis=1, keepdims=True)
    prior = np.bincount(label, minlength=said.shape[1]) / len(label)
    clean = []
    for row in range(len(label)):
        near = np.argsort(-(unit @ unit[row]))[:k]
        votes = np.array([(label[near] == c).sum() / k for c in range(said.shape[1])])
        score = np.divide(votes, prior, out=np.zeros_like(votes), where=prior > 0)
        clean.append(score[label[row]] / score.max() >= theta_s)
    return label, np.array(clean)


@pytest.mark.parametrize(("theta_s", "block"), [(1.0, 1_024), (0.6, 17)])
def test_it_is_the_papers_selection(theta_s, block, after_epoch, make_outputs, monkeypatch):
    monkeypatch.setattr(file, "BLOCK", block)
    random = np.random.default_rng(0)
    truth = random.choice(4, 120, p=[0.5, 0.2, 0.2, 0.1])
    features = random.standard_normal((4, 8))[truth] + 0.8 * random.standard_normal((120, 8))
    label = np.where(random.random(120) < 0.3, random.integers(0, 4, 120), truth)
    said = random.dirichlet(np.full(4, 0.1), 120).astype(np.float32)
    samples = after_epoch(label, make_outputs(features, said=said), num_classes=4)
    found = VoteOfNeighbours(relabel_above=0.9, select_from=theta_s, neighbours=15)(samples)
    right, clean = voted(np.float32(features), said, label, 0.9, theta_s, 15)
    np.testing.assert_array_equal(found.label, right)
    np.testing.assert_array_equal(found.subset, np.where(clean, 0, 1))
    np.testing.assert_array_equal(found.targets.classes[:, 0], right)
    np.testing.assert_array_equal(found.targets.weights[:, 0], clean)
    assert (right != label).any()
    assert 0 < clean.sum() < 120


def test_what_is_left_out_neither_votes_nor_comes_back(after_epoch, make_outputs):
    features = np.array([[1, 0.0], [1, 0.1], [1, 0.2], [0, 1]])
    said = np.tile([0.5, 0.5], (4, 1))
    subset = np.array([0, -1, 0, 0], np.int8)
    samples = after_epoch([0, 1, 0, 1], make_outputs(features, said=said), subset=subset)
    found = VoteOfNeighbours(neighbours=2)(samples)
    assert found.subset.tolist() == [0, -1, 0, 0]
    # More neighbours asked for than there are: all vote, and each class has its share.
    assert VoteOfNeighbours(neighbours=50)(samples).subset.tolist() == [0, -1, 0, 0]


def test_earlier_targets_give_way_to_labels(after_epoch, make_outputs):
    both = Targets(np.tile(np.arange(2, dtype=np.int32), (3, 1)), np.full((3, 2), 0.5, np.float32))
    said = np.array([[0.99, 0.01], [0.6, 0.4], [0.5, 0.5]])
    samples = after_epoch([1, 1, 0], make_outputs(np.eye(3), said=said), targets=both)
    found = VoteOfNeighbours(neighbours=1)(samples)
    assert found.label.tolist() == [0, 1, 0]
    assert found.targets.classes.tolist() == [[0], [1], [0]]


def test_as_a_noise_trick_it_is_refused(make_samples):
    with pytest.raises(PluginError, match=r"put it in Stage\.epoch"):
        VoteOfNeighbours()(make_samples([0, 1]))
    with pytest.raises(HarnessError, match="neighbours"):
        VoteOfNeighbours(neighbours=0)
