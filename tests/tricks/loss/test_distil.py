from __future__ import annotations

import math

import pytest
import torch
from torch.nn.functional import kl_div

from harness.errors import PluginError
from harness.tricks.loss.distil import Distil, divergence


def test_two_classes_by_hand():
    # q = (3/4, 1/4) against p = (1/2, 1/2).
    found = divergence(torch.zeros(1, 2), torch.tensor([[[math.log(3.0), 0.0]]]), 1.0)
    expected = 0.75 * math.log(0.75 / 0.5) + 0.25 * math.log(0.25 / 0.5)
    assert found.item() == pytest.approx(expected)


def test_a_temperature_by_hand():
    # Logits of log 9 at T = 2 are those of log 3 at T = 1, times 4.
    found = divergence(torch.zeros(1, 2), torch.tensor([[[math.log(9.0), 0.0]]]), 2.0)
    expected = 0.75 * math.log(1.5) + 0.25 * math.log(0.5)
    assert found.item() == pytest.approx(4 * expected)


@pytest.mark.parametrize("temperature", [0.5, 1.0, 4.0])
@pytest.mark.parametrize("members", [1, 3])
def test_it_is_torchs_divergence_from_the_mean(temperature, members, make_batch, inner):
    logits, teachers = torch.randn(6, 4), torch.randn(members, 6, 4)
    batch = make_batch(torch.eye(4)[[0, 1, 2, 3, 0, 1]], teacher_logits=teachers)
    q = (teachers / temperature).softmax(dim=2).mean(dim=0)
    log_p = (logits / temperature).log_softmax(dim=1)
    oracle = temperature**2 * kl_div(log_p, q, reduction="none").sum(dim=1)
    torch.testing.assert_close(divergence(logits, teachers, temperature), oracle)
    found = Distil(weight=0.3, temperature=temperature)(inner)(logits, batch)
    torch.testing.assert_close(found, 0.7 * inner(logits, batch) + 0.3 * oracle)


def test_a_teacher_that_agrees_leaves_nothing_to_learn(make_batch, inner):
    logits = torch.randn(3, 4, requires_grad=True)
    batch = make_batch(torch.eye(4)[[0, 1, 2]], teacher_logits=logits.detach()[None])
    loss = Distil(weight=1)(inner)(logits, batch)
    torch.testing.assert_close(loss, torch.zeros(3), rtol=0, atol=1e-6)
    loss.sum().backward()
    torch.testing.assert_close(logits.grad, torch.zeros(3, 4), rtol=0, atol=1e-6)


def test_weight_0_is_the_loss_inside(make_batch, inner):
    logits = torch.randn(2, 3)
    batch = make_batch(torch.eye(3)[[0, 1]], teacher_logits=torch.randn(1, 2, 3))
    torch.testing.assert_close(Distil(weight=0)(inner)(logits, batch), inner(logits, batch))


def test_certain_and_opposed_networks_stay_finite_and_teachers_untouched(make_batch, inner):
    logits = torch.tensor([[500.0, -500.0]], requires_grad=True)
    teachers = torch.tensor([[[-500.0, 500.0]], [[500.0, -500.0]]], requires_grad=True)
    loss = Distil(temperature=1)(inner)(logits, make_batch([[1, 0]], teacher_logits=teachers))
    loss.sum().backward()
    assert torch.isfinite(loss).all()
    assert torch.isfinite(logits.grad).all()
    assert teachers.grad is None


def test_missing_teachers_are_an_error(make_batch, inner):
    with pytest.raises(PluginError, match="teachers="):
        Distil()(inner)(torch.zeros(1, 2), make_batch([[1, 0]]))


@pytest.mark.parametrize(
    "knobs",
    [
        {"weight": -0.1},
        {"weight": 1.1},
        {"weight": float("nan")},
        {"temperature": 0},
        {"temperature": float("inf")},
    ],
)
def test_bad_knobs_are_refused(knobs):
    with pytest.raises(PluginError, match=next(iter(knobs))):
        Distil(**knobs)
