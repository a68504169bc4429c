from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch

from harness.errors import PluginError
from harness.tricks.loss.self_supervised import SelfSupervised, trusted_targets

LOGS = torch.tensor([[math.log(0.5), math.log(0.3), math.log(0.2)]])
LABEL = torch.tensor([[0.0, 1.0, 0.0]])


@pytest.mark.parametrize(
    ("power", "temperature", "expected"),
    [
        # Confidence 0.3 ** 2 = 0.09, the rest to the largest probability.
        (2, 0.0, [0.91, 0.09, 0]),
        # The rest as the probabilities say.
        (2, 1.0, [0.91 * 0.5, 0.09 + 0.91 * 0.3, 0.91 * 0.2]),
        # Sharpened: 25, 9 and 4 of 38.
        (1, 0.5, [0.7 * 25 / 38, 0.3 + 0.7 * 9 / 38, 0.7 * 4 / 38]),
        # Confidence 1: the label as it was.
        (0, 0.0, [0.0, 1.0, 0.0]),
    ],
)
def test_one_label_by_hand(power, temperature, expected):
    found = trusted_targets(LABEL, LOGS, power, temperature)
    torch.testing.assert_close(found, torch.tensor([expected]))


def test_soft_and_several_labels_keep_their_sum():
    soft = trusted_targets(torch.tensor([[0.5, 0.5, 0.0]]), LOGS, 1, 0.0)
    torch.testing.assert_close(soft, torch.tensor([[0.4 * 0.5 + 0.6, 0.4 * 0.5, 0]]))
    several = trusted_targets(torch.tensor([[1.0, 1.0, 0.0]]), LOGS, 1, 0.0)
    torch.testing.assert_close(several, torch.tensor([[0.8 + 2 * 0.2, 0.8, 0]]))


def test_the_loss_inside_sees_the_new_targets(make_batch, inner):
    logits = torch.randn(4, 3)
    batch = make_batch(torch.eye(3)[[0, 1, 2, 0]])
    found = SelfSupervised(temperature=0.5)(inner)(logits, batch)
    targets = trusted_targets(batch.targets, logits.log_softmax(dim=1), 2.0, 0.5)
    torch.testing.assert_close(found, inner(logits, replace(batch, targets=targets)))


def gradient(loss, start, batch):
    logits = start.clone().requires_grad_()
    loss(logits, batch).sum().backward()
    return logits.grad


def test_a_soft_label_of_ones_own_only_weighs_the_gradient(make_batch, inner):
    start, batch = torch.randn(5, 3), make_batch(torch.eye(3)[[0, 1, 2, 0, 1]])
    trust = (batch.targets * start.softmax(dim=1)).sum(dim=1, keepdim=True) ** 2
    found = gradient(SelfSupervised(temperature=1)(inner), start, batch)
    torch.testing.assert_close(found, trust * gradient(inner, start, batch))
    hard = gradient(SelfSupervised()(inner), start, batch)
    assert not torch.allclose(hard, found)


def test_teachers_are_asked_for_their_mean_probability(make_batch, inner):
    teachers = torch.randn(3, 4, 5)
    batch = make_batch(torch.eye(5)[[0, 1, 2, 3]], teacher_logits=teachers)
    logits = torch.randn(4, 5)
    p = teachers.softmax(dim=2).mean(dim=0)
    trust = p[torch.arange(4), torch.arange(4)][:, None] ** 2
    pseudo = p**2 / (p**2).sum(dim=1, keepdim=True)
    expected = inner(logits, make_batch(trust * batch.targets + (1 - trust) * pseudo))
    found = SelfSupervised(pseudo="teacher", temperature=0.5)(inner)(logits, batch)
    torch.testing.assert_close(found, expected)


def test_nothing_flows_into_the_labels(make_batch, inner):
    teachers = torch.randn(1, 4, 3, requires_grad=True)
    logits = torch.randn(4, 3, requires_grad=True)
    batch = make_batch(torch.eye(3)[[0, 1, 2, 0]], teacher_logits=teachers)
    SelfSupervised(pseudo="teacher", temperature=1)(inner)(logits, batch).sum().backward()
    assert teachers.grad is None
    assert torch.isfinite(logits.grad).all()


def test_certainty_gives_finite_targets():
    for temperature in (0.0, 0.5, 1.0):
        certain = torch.tensor([[400.0, 0.0, 0.0]]).log_softmax(dim=1)
        found = trusted_targets(LABEL, certain, 2, temperature)
        torch.testing.assert_close(found, torch.tensor([[1.0, 0.0, 0.0]]))


def test_a_missing_teacher_is_an_error(make_batch, inner):
    loss = SelfSupervised(pseudo="teacher")(inner)
    with pytest.raises(PluginError, match="teachers="):
        loss(torch.zeros(1, 2), make_batch([[1, 0]]))


@pytest.mark.parametrize(
    "knobs",
    [
        {"power": -1},
        {"power": float("nan")},
        {"temperature": -1},
        {"temperature": float("inf")},
        {"pseudo": "nobody"},
    ],
)
def test_bad_knobs_are_refused(knobs):
    with pytest.raises(PluginError, match=next(iter(knobs))):
        SelfSupervised(**knobs)
