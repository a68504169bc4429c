from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from harness.errors import PluginError
from harness.tricks.loss.sparse_over_parameterization import (
    SparseOverParameterization,
    noise_losses,
    view_divergence,
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


# SOP+: two views of each picture, first views first.


def test_the_divergence_of_two_views_by_hand():
    first = torch.tensor([[0.8, 0.2], [0.5, 0.5]]).log()
    second = torch.tensor([[0.5, 0.5], [0.5, 0.5]]).log().requires_grad_()
    found = view_divergence(first.requires_grad_(), second)
    # 0.8 log(0.8 / 0.5) + 0.2 log(0.2 / 0.5), and two equal ones.
    assert found.tolist() == pytest.approx([0.8 * np.log(1.6) + 0.2 * np.log(0.4), 0.0], abs=1e-6)
    found.sum().backward()
    assert first.grad is None  # as in the code: the first view is the teacher
    torch.testing.assert_close(second.grad[0], torch.tensor([0.5 - 0.8, 0.5 - 0.2]))


@pytest.fixture
def two_views(make_batch):
    """Three pictures of three classes in two views, with variables that are not near 0."""
    random = torch.Generator().manual_seed(3)
    targets = torch.eye(3)[[0, 2, 1]].repeat(2, 1)
    u, v = (torch.rand(3, n, generator=random).mul(0.5) for n in (1, 3))
    state = {"sop_u": u.repeat(2, 1).requires_grad_(), "sop_v": v.repeat(2, 1).requires_grad_()}
    view = torch.tensor([0, 0, 0, 1, 1, 1])
    return replace(make_batch(targets), state=state, extra={"view": view})


def test_the_papers_sum_term_by_term(two_views, inner):
    logits = torch.randn(6, 3, generator=torch.Generator().manual_seed(4)).requires_grad_()
    trick = SparseOverParameterization(consistency=0.9, balance=0.1)
    found = trick(inner)(logits, two_views).mean()
    p, q = logits[:3].softmax(1), logits[3:].softmax(1)
    own = SparseOverParameterization()(inner)
    rows = {name: rows[:3] for name, rows in two_views.state.items()}
    plain = own(logits[:3], replace(two_views, targets=two_views.targets[:3], state=rows)).mean()
    consistency = (p.detach() * (p.detach() / q).log()).sum(1).mean()
    prior = torch.full((3,), 1 / 3)
    balance = (prior * (prior / p.mean(0)).log()).sum()
    expected = plain + 0.9 * consistency + 0.1 * balance
    torch.testing.assert_close(found, expected)
    wanted = (logits, *two_views.state.values())
    slopes = [torch.autograd.grad(x, wanted, retain_graph=True) for x in (found, expected)]
    for one, other in zip(*slopes, strict=True):
        torch.testing.assert_close(one, other)
    # Both rates are of the mean over the pictures, not over their views.
    alone = torch.autograd.grad(plain, two_views.state["sop_u"])[0]
    torch.testing.assert_close(slopes[0][1], alone)
    assert (slopes[0][1][3:] == 0).all()
    assert slopes[0][1][:3].abs().sum() > 0


def test_the_terms_of_two_views_need_them(make_batch, inner):
    batch = make_batch(torch.eye(3))
    trick = SparseOverParameterization(balance=0.1)(inner)
    state = {"sop_u": torch.zeros(3, 1), "sop_v": torch.zeros(3, 3)}
    with pytest.raises(PluginError, match="put BothViews into the stage's batch tricks"):
        trick(torch.zeros(3, 3), replace(batch, state=state))
