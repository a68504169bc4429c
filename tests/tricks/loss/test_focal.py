from __future__ import annotations

import math

import pytest
import torch
from torchvision.ops import sigmoid_focal_loss

from harness.errors import PluginError
from harness.tricks.loss.distil import Distil
from harness.tricks.loss.focal import Focal, focal_factor


def test_three_quarters_on_the_label_by_hand(make_batch, inner):
    logits = torch.tensor([[math.log(3.0), 0.0]])  # probabilities 3/4 and 1/4
    batch = make_batch([[1, 0], [0, 1], [0.5, 0.5]])
    found = Focal(gamma=2)(inner)(logits.expand(3, 2), batch)
    expected = [
        0.25**2 * math.log(4 / 3),
        0.75**2 * math.log(4),
        0.5**2 * (math.log(4 / 3) + math.log(4)) / 2,
    ]
    torch.testing.assert_close(found, torch.tensor(expected))


@pytest.mark.parametrize("gamma", [0.0, 0.5, 2.0, 5.0])
def test_two_classes_are_torchvisions_sigmoid_form(gamma, make_batch, inner):
    # softmax of (0, x) is (1 - sigmoid(x), sigmoid(x)), so p y + (1 - p) (1 - y) is what both take.
    x = torch.linspace(-6, 6, 13)
    for y in (torch.zeros(13), torch.ones(13), torch.linspace(0, 1, 13)):
        batch = make_batch(torch.stack([1 - y, y], dim=1))
        found = Focal(gamma=gamma)(inner)(torch.stack([torch.zeros(13), x], dim=1), batch)
        oracle = sigmoid_focal_loss(x, y, alpha=-1, gamma=gamma)
        torch.testing.assert_close(found, oracle, rtol=1e-4, atol=1e-7)


def test_gamma_0_is_the_loss_inside(make_batch, inner):
    logits, batch = torch.randn(5, 3), make_batch(torch.eye(3)[[0, 1, 2, 0, 1]])
    torch.testing.assert_close(
        Focal(gamma=0)(inner)(logits, batch), inner(logits, batch), rtol=0, atol=0
    )


def test_gradients_stay_finite_if_nothing_is_left_to_learn(make_batch, inner):
    logits = torch.tensor([[200.0, 0.0], [-200.0, 0.0]], requires_grad=True)
    batch = make_batch([[1, 0], [1, 0]])
    Focal(gamma=0.5)(inner)(logits, batch).sum().backward()
    assert torch.isfinite(logits.grad).all()
    assert logits.grad[1, 0] < 0


def test_several_labels_are_learned_if_all_probability_is_on_them():
    factor = focal_factor(torch.tensor([[0.0, 0.0, -100.0]]), torch.tensor([[1.0, 1.0, 0.0]]), 2)
    assert factor.item() == pytest.approx(0, abs=1e-12)


def test_around_distillation_the_factor_is_on_the_whole(make_batch, inner):
    logits, teachers = torch.randn(4, 3), torch.randn(2, 4, 3)
    batch = make_batch(torch.eye(3)[[0, 1, 2, 0]], teacher_logits=teachers)
    distilled = Distil()(inner)
    found = Focal()(distilled)(logits, batch)
    expected = focal_factor(logits, batch.targets, 2) * distilled(logits, batch)
    torch.testing.assert_close(found, expected)


@pytest.mark.parametrize("gamma", [-1, float("nan"), float("inf")])
def test_a_gamma_that_prefers_the_easy_is_refused(gamma):
    with pytest.raises(PluginError, match="gamma must be >= 0, got"):
        Focal(gamma=gamma)
