from __future__ import annotations

import pytest
import torch

from harness.errors import PluginError
from harness.tricks.loss.generalized_cross_entropy import (
    GeneralizedCrossEntropy,
    generalized_cross_entropy,
)


def logits_of(*rows):
    return torch.tensor(rows).log()


def test_hard_labels_by_hand(make_batch, inner):
    logits = logits_of([0.25, 0.75], [1.0, 0.0])
    batch = make_batch([[1, 0], [1, 0]])
    found = GeneralizedCrossEntropy(q=0.5)(inner)(logits, batch)
    torch.testing.assert_close(found, torch.tensor([(1 - 0.25**0.5) / 0.5, 0.0]))


def test_its_ends_are_cross_entropy_and_half_the_absolute_error(make_batch, inner):
    logits = torch.randn(6, 4, generator=torch.Generator().manual_seed(0)).double()
    targets = torch.eye(4).double()[[0, 1, 2, 3, 0, 1]]
    near_zero = generalized_cross_entropy(logits, targets, 1e-7)
    torch.testing.assert_close(
        near_zero, -(targets * logits.log_softmax(1)).sum(1), rtol=1e-5, atol=0
    )
    absolute = (logits.softmax(1) - targets).abs().sum(1) / 2
    torch.testing.assert_close(generalized_cross_entropy(logits, targets, 1.0), absolute)


def test_the_gradient_is_that_of_cross_entropy_times_a_power_of_the_probability():
    """Section 3.2 of the paper: dL_q = p_label ** q times the gradient of cross-entropy."""
    logits = torch.randn(5, 3, generator=torch.Generator().manual_seed(1)).requires_grad_()
    targets = torch.eye(3)[[0, 1, 2, 0, 1]]
    ours = torch.autograd.grad(generalized_cross_entropy(logits, targets, 0.7).sum(), logits)[0]
    p = logits.detach().softmax(1)
    label = (p * targets).sum(1, keepdim=True)
    torch.testing.assert_close(ours, label**0.7 * (p - targets))


def test_soft_targets_are_mixed_and_extremes_are_finite():
    logits = torch.tensor([[300.0, -300.0]]).requires_grad_()
    half = generalized_cross_entropy(logits, torch.tensor([[0.5, 0.5]]), 0.7)
    assert half.item() == pytest.approx(0.5 / 0.7)
    half.sum().backward()
    assert torch.isfinite(logits.grad).all()
    sure_and_wrong = generalized_cross_entropy(logits, torch.tensor([[0.0, 1.0]]), 0.7)
    assert sure_and_wrong.item() == pytest.approx(1 / 0.7)


def test_a_q_out_of_range_is_refused():
    with pytest.raises(PluginError, match=r"q must be in \(0, 1\], got 0"):
        GeneralizedCrossEntropy(q=0.0)
