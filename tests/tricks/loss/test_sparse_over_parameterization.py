from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from harness.errors import PluginError
from harness.tricks.loss.sparse_over_parameterization import (
    SparseOverParameterization,
    noise_losses,
)


def test_one_sample_by_hand():
    logits = torch.tensor([[0.2, 0.5, 0.3]]).log()
    targets = torch.tensor([[1.0, 0.0, 0.0]])
    u, v = torch.tensor([[0.6]]), torch.tensor([[9.0, 0.5, 0.1]])
    # The noise is (0.36, -0.25, -0.01), so r is (0.56, 0.25, 0.29) / 1.1.
    cross_entropy, squared = noise_losses(logits, targets, u, v)
    assert cross_entropy.item() == pytest.approx(-np.log(0.56 / 1.1))
    # The likeliest is class 1: (0.36 - 1)^2 + (1 - 0.25)^2 + (-0.01)^2.
    assert squared.item() == pytest.approx(0.64**2 + 0.75**2 + 0.01**2)


def test_each_loss_trains_its_own_variables():
    """Section 2 of the paper: cross-entropy for weights and u, squared error for v."""
    random = torch.Generator().manual_seed(0)
    logits = torch.randn(4, 3, generator=random).requires_grad_()
    u, v = (torch.rand(4, n, generator=random).mul(0.5).requires_grad_() for n in (1, 3))
    first, second = noise_losses(logits, torch.eye(3)[[0, 1, 2, 0]], u, v)
    of_first = torch.autograd.grad(first.sum(), (logits, u, v), allow_unused=True)
    of_second = torch.autograd.grad(second.sum(), (logits, u, v), allow_unused=True)
    assert [slope is not None for slope in of_first] == [True, True, False]
    assert [slope is not None for slope in of_second] == [False, False, True]


def test_the_gradients_are_those_of_finite_differences():
    random = torch.Generator().manual_seed(1)
    logits = torch.randn(3, 4, generator=random).double()
    targets = torch.eye(4).double()[[0, 1, 3]]
    u = torch.rand(3, 1, generator=random).double().mul(0.5).requires_grad_()
    v = torch.rand(3, 4, generator=random).double().mul(0.3).requires_grad_()
    assert torch.autograd.gradcheck(lambda x: noise_losses(logits, targets, x, v.detach())[0], u)
    assert torch.autograd.gradcheck(lambda x: noise_losses(logits, targets, u.detach(), x)[1], v)


def test_a_wrong_label_is_explained_by_its_noise(make_batch, inner):
    """Descent at the rates of the paper, with a network that is sure of another class."""
    logits = torch.tensor([[6.0, 0.0, 0.0]])
    batch = make_batch([[0, 1, 0]])
    u, v = torch.full((1, 1), 1e-8), torch.full((1, 3), 1e-8)
    loss = SparseOverParameterization()(inner)
    for _ in range(400):
        leaves = {"sop_u": u.clone().requires_grad_(), "sop_v": v.clone().requires_grad_()}
        loss(logits, replace(batch, state=leaves)).mean().backward()
        u = u - 0.01 * leaves["sop_u"].grad
        v = v - 0.1 * leaves["sop_v"].grad
    noise = (u**2 * batch.targets - v**2 * (1 - batch.targets)).round(decimals=1)
    assert noise[0].tolist() == pytest.approx([-1.0, 1.0, 0.0], abs=0.11)
    assert loss(logits, replace(batch, state={"sop_u": u, "sop_v": v})) < inner(logits, batch) / 2


def test_its_variables_start_near_zero_and_differ(make_samples):
    samples = make_samples(np.arange(50) % 5, np.zeros((50, 2)), num_classes=5)
    kept = SparseOverParameterization(lr_u=2.0, lr_v=3.0).state(samples)
    assert (kept["sop_u"].initial.shape, kept["sop_u"].lr) == ((50, 1), 2.0)
    assert (kept["sop_v"].initial.shape, kept["sop_v"].lr) == ((50, 5), 3.0)
    for one in kept.values():
        assert 0 < one.initial.abs().max() < 1e-7
    again = SparseOverParameterization().state(samples)["sop_v"].initial
    torch.testing.assert_close(again, kept["sop_v"].initial, rtol=0, atol=0)


def test_a_rate_of_zero_is_refused():
    with pytest.raises(PluginError, match="lr_u must be > 0, got 0"):
        SparseOverParameterization(lr_u=0)
