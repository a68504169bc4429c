from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from harness.errors import PluginError
from harness.tricks.loss.ghm import GHM, ghm_factor, gradient_sizes


def logits_of(probabilities):
    return torch.tensor([[math.log(p), math.log(1 - p)] for p in probabilities])


def test_two_bins_by_hand(make_batch, inner):
    # g = 1 - p of the label: 0.1, 0.2, 0.3 and 0.9; three samples share the lower half.
    logits = logits_of([0.9, 0.8, 0.7, 0.1])
    batch = make_batch([[1, 0]] * 4)
    torch.testing.assert_close(
        gradient_sizes(logits, batch.targets), torch.tensor([0.1, 0.2, 0.3, 0.9])
    )
    factor = ghm_factor(logits, batch.targets, 2)
    torch.testing.assert_close(factor, torch.tensor([2 / 3, 2 / 3, 2 / 3, 2.0]))
    torch.testing.assert_close(GHM(bins=2)(inner)(logits, batch), factor * inner(logits, batch))


def paper(p, label, bins):
    """The factors by the paper's own steps, for one sigmoid, sample by sample."""
    g = np.abs(p - label)  # the gradient norm
    width = 1 / bins
    regions = [(k * width, (k + 1) * width) for k in range(bins)]
    factors = []
    for own in g:
        # GD(g): the number in the unit region, over the region's length
        low, high = next(r for r in regions if r[0] <= own < r[1])
        density = sum(low <= other < high for other in g) / width
        factors.append(len(g) / density)  # beta = N / GD(g)
    return np.array(factors)


@pytest.mark.parametrize("bins", [1, 3, 10, 30])
def test_two_classes_are_the_papers_sigmoid(bins):
    random = np.random.default_rng(0)
    x = random.normal(1, 2, 200)
    label = random.integers(0, 2, 200)
    p = 1 / (1 + np.exp(-x))
    logits = torch.tensor(np.stack([np.zeros(200), x], axis=1))
    targets = torch.tensor(np.stack([1 - label, label], axis=1), dtype=torch.float64)
    found = ghm_factor(logits, targets, bins)
    np.testing.assert_allclose(found.numpy(), paper(p, label, bins), rtol=1e-6)


def test_the_gradients_size_is_half_the_sum_of_its_parts():
    logits = torch.randn(5, 4, requires_grad=True)
    targets = torch.rand(5, 4).softmax(dim=1)
    torch.nn.functional.cross_entropy(logits, targets, reduction="sum").backward()
    found = gradient_sizes(logits.detach(), targets)
    torch.testing.assert_close(found, logits.grad.abs().sum(dim=1) / 2)


def test_an_even_spread_changes_nothing():
    logits = logits_of(np.arange(0.05, 1, 0.1))
    factor = ghm_factor(logits, torch.tensor([[1.0, 0.0]] * 10), 10)
    torch.testing.assert_close(factor, torch.ones(10))


def test_certainty_right_or_wrong_falls_into_the_outermost_bins():
    logits = torch.tensor([[500.0, -500.0], [-500.0, 500.0]])
    sizes = gradient_sizes(logits, torch.tensor([[1.0, 0.0], [1.0, 0.0]]))
    assert sizes.tolist() == [0, 1]
    torch.testing.assert_close(
        ghm_factor(logits, torch.tensor([[1.0, 0.0], [1.0, 0.0]]), 10), torch.full((2,), 0.2)
    )


def test_several_labels_and_none():
    targets = torch.tensor([[1.0, 1.0, 0.0], [0.0, 0.0, 0.0]])
    sizes = gradient_sizes(torch.tensor([[0.0, 0.0, -100.0]] * 2), targets)
    torch.testing.assert_close(sizes, torch.tensor([0.0, 0.5]))


def test_no_gradient_flows_through_the_factor(make_batch, inner):
    start = torch.randn(6, 3)
    batch = make_batch(torch.eye(3)[[0, 1, 2, 0, 1, 2]])
    grads = []
    for loss in (GHM(bins=4)(inner), inner):
        logits = start.clone().requires_grad_()
        loss(logits, batch).sum().backward()
        grads.append(logits.grad)
    factor = ghm_factor(start, batch.targets, 4)
    torch.testing.assert_close(grads[0], factor[:, None] * grads[1])


def test_no_bins_are_refused():
    with pytest.raises(PluginError, match="bins must be an int > 0, got 0"):
        GHM(bins=0)
