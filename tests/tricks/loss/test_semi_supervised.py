from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from harness.errors import HarnessError
from harness.tricks.loss.class_balance import imbalance
from harness.tricks.loss.semi_supervised import SemiSupervised


def test_the_papers_loss_part_by_part(make_batch, inner):
    random = torch.Generator().manual_seed(0)
    logits = torch.randn(6, 3, generator=random, requires_grad=True)
    targets = torch.randn(6, 3, generator=random).softmax(1)
    subset = torch.tensor([0, 1, 0, 0, 1, 0])
    batch = replace(make_batch(targets), subset=subset, epoch=1)
    found = SemiSupervised(unlabelled=25.0, balance=0.5)(inner)(logits, batch).mean()
    p, labelled = logits.softmax(1), subset == 0
    l_x = -(targets * p.log()).sum(1)[labelled].mean()
    l_u = ((p - targets) ** 2).sum(1)[~labelled].mean()
    prior = torch.full((3,), 1 / 3)
    l_reg = (prior * (prior / p.mean(0)).log()).sum()
    expected = l_x + 25.0 * l_u + 0.5 * l_reg
    torch.testing.assert_close(found, expected)
    torch.testing.assert_close(
        *(torch.autograd.grad(value, logits, retain_graph=True)[0] for value in (found, expected))
    )


def test_it_is_the_loss_inside_in_the_warm_up(make_batch, inner):
    logits, batch = torch.randn(3, 3), make_batch(torch.eye(3))
    torch.testing.assert_close(SemiSupervised()(inner)(logits, batch), inner(logits, batch))


def test_a_batch_without_labelled_pictures_still_balances(make_batch, inner):
    logits = torch.randn(3, 3, requires_grad=True)
    batch = replace(make_batch(torch.eye(3)), subset=torch.ones(3, dtype=torch.int64), epoch=1)
    torch.testing.assert_close(SemiSupervised()(inner)(logits, batch), imbalance(logits).expand(3))


def test_bad_knobs_are_refused():
    with pytest.raises(HarnessError, match="unlabelled"):
        SemiSupervised(unlabelled=-1)
