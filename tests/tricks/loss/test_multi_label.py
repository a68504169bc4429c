from __future__ import annotations

import math

import pytest
import torch
from torch.nn.functional import binary_cross_entropy_with_logits

from harness.tricks.loss.focal import Focal
from harness.tricks.loss.multi_label import SigmoidCrossEntropy, sigmoid_cross_entropy


def test_two_labels_by_hand(make_batch):
    # sigmoid(log 3) = 3/4 for a label, sigmoid(0) = 1/2 for a label and for none.
    logits = torch.tensor([[math.log(3.0), 0.0, 0.0]])
    found = sigmoid_cross_entropy(logits, make_batch([[1, 1, 0]]))
    assert found.item() == pytest.approx(math.log(4 / 3) + 2 * math.log(2))


def test_it_is_torchs_sum_over_classes(make_batch, inner):
    logits = 5 * torch.randn(4, 7)
    batch = make_batch(torch.rand(4, 7))
    oracle = binary_cross_entropy_with_logits(logits, batch.targets, reduction="none").sum(dim=1)
    torch.testing.assert_close(SigmoidCrossEntropy()(inner)(logits, batch), oracle)


def test_the_literal_reading_is_cross_entropy_of_several_labels(make_batch, inner):
    logits = torch.randn(1, 4)
    logs = logits.log_softmax(dim=1)[0]
    found = inner(logits, make_batch([[1, 0.45, 0, 0]]))
    torch.testing.assert_close(found, -(logs[0] + 0.45 * logs[1])[None])


def test_it_takes_the_place_of_what_is_inside(make_batch, inner):
    logits, batch = torch.randn(2, 3), make_batch([[1, 1, 0], [0, 0, 1]])
    found = SigmoidCrossEntropy()(Focal()(inner))(logits, batch)
    torch.testing.assert_close(found, sigmoid_cross_entropy(logits, batch))


def test_far_logits_stay_finite(make_batch):
    logits = torch.tensor([[500.0, -500.0]], requires_grad=True)
    loss = sigmoid_cross_entropy(logits, make_batch([[0, 1]]))
    assert loss.item() == pytest.approx(1000)
    loss.sum().backward()
    torch.testing.assert_close(logits.grad, torch.tensor([[1.0, -1.0]]))
