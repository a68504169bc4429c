from __future__ import annotations

import numpy as np
import pytest

from harness.errors import HarnessError, PluginError
from harness.tricks.epoch.divide_by_loss import DivideByLoss, clean_probabilities


def mixture_by_hand(losses, rounds):
    """Expectation and maximisation of two Gaussians in one dimension, from k-means' two means."""
    x = (losses - losses.min()) / (losses.max() - losses.min())
    centres = np.array([x.min(), x.max()])
    for _ in range(50):
        near = np.abs(x[:, None] - centres).argmin(axis=1)
        centres = np.array([x[near == k].mean() for k in (0, 1)])
    share = np.eye(2)[near]
    for _ in range(rounds):
        total = share.sum(axis=0)
        mean = (share * x[:, None]).sum(axis=0) / total
        variance = (share * (x[:, None] - mean) ** 2).sum(axis=0) / total + 5e-4
        density = np.exp(-((x[:, None] - mean) ** 2) / 2 / variance) / np.sqrt(variance)
        share = total * density
        share /= share.sum(axis=1, keepdims=True)
    return share[:, mean.argmin()]


def test_the_mixture_is_that_of_two_gaussians_by_hand():
    random = np.random.default_rng(0)
    losses = np.concatenate([random.normal(0.4, 0.2, 300), random.normal(3.0, 0.9, 200)])
    found = clean_probabilities(np.abs(losses))
    # The fit stops when the mean log-likelihood changes by less than 0.01: after a few rounds.
    assert (
        min(np.abs(found - mixture_by_hand(np.abs(losses), n)).max() for n in range(1, 11)) < 1e-4
    )
    assert found[:300].mean() > 0.95 > 0.05 > found[300:].mean()


def test_equal_losses_are_all_trusted():
    assert clean_probabilities(np.full(5, 2.0)).tolist() == [1] * 5
    assert clean_probabilities(np.array([2.0])).tolist() == [1]


def test_a_network_is_given_what_the_other_one_trusts(after_epoch, make_outputs):
    own, other = np.full(8, 0.5), np.array([0.9, 0.8, 0.02, 0.85, 0.01, 0.9, 0.03, 0.88])
    own[2] = 0.9
    samples = after_epoch(
        np.arange(8) % 2, make_outputs(of_label=own), make_outputs(of_label=other),
        subset=np.array([0, 0, 0, -1, 0, 2, 0, 0], np.int8),
        weight=np.arange(8, dtype=np.float32) + 1,
    )  # fmt: skip
    found = DivideByLoss()(samples)
    assert found.subset.tolist() == [0, 0, 1, -1, 1, 0, 1, 0]
    np.testing.assert_array_equal(found.weight, samples.weight)
    np.testing.assert_array_equal(found.targets.classes[:, 0], samples.label)
    used = samples.subset >= 0
    expected = clean_probabilities(-np.log(np.float32(other[used]).astype(np.float64)))
    np.testing.assert_allclose(found.targets.weights[used, 0], expected, rtol=1e-6)
    alone = DivideByLoss()(samples.assign(outputs=samples.outputs[1:]))
    np.testing.assert_array_equal(alone.subset, found.subset)


def test_nothing_is_divided_in_the_warm_up(after_epoch, make_outputs):
    samples = after_epoch([0, 1], make_outputs(of_label=[0.9, 0.1]), epoch=1)
    assert DivideByLoss(warmup=2)(samples) is samples


def test_a_likelihood_of_0_is_a_large_loss(after_epoch, make_outputs):
    samples = after_epoch([0, 1, 0], make_outputs(of_label=[0.9, 0.0, 0.8]))
    assert DivideByLoss()(samples).subset.tolist() == [0, 1, 0]


def test_as_a_noise_trick_it_is_refused(make_samples):
    with pytest.raises(PluginError, match=r"put it in Stage\.epoch"):
        DivideByLoss()(make_samples([0, 1]))
    with pytest.raises(HarnessError, match="threshold"):
        DivideByLoss(threshold=1.0)
