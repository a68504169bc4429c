from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from torch.nn.functional import cross_entropy, kl_div

from harness.errors import HarnessError, PluginError
from harness.tricks.loss.joint_agreement import JointAgreement, disagreement

LABELS = torch.tensor([0, 1, 2, 0, 1, 2])


def test_two_classes_by_hand():
    # p = (3/4, 1/4), q = (1/2, 1/2): (p - q) . (log p - log q)
    found = disagreement(torch.tensor([[math.log(3.0), 0.0]]), torch.zeros(1, 2)).item()
    assert found == pytest.approx(0.25 * math.log(1.5) - 0.25 * math.log(0.5))


def joint_loss(one, two, share):
    """The paper's loss by torch's own divergence: of every sample, both networks trained."""
    logs = one.log_softmax(1), two.log_softmax(1)
    away = kl_div(logs[0], logs[1].exp(), reduction="none").sum(1)
    away = away + kl_div(logs[1], logs[0].exp(), reduction="none").sum(1)
    both = cross_entropy(one, LABELS, reduction="none") + cross_entropy(
        two, LABELS, reduction="none"
    )
    return (1 - share) * both + share * away


def test_two_networks_get_the_gradients_of_one_optimiser_over_both(make_batch, inner):
    one, two = torch.randn(2, 6, 3, generator=torch.Generator().manual_seed(0))
    one, two = one.requires_grad_(), two.requires_grad_()
    values = joint_loss(one, two, 0.7)
    expected = values.sort().values[:3].mean()
    expected.backward()
    trick = JointAgreement(agreement=0.7, forget_rate=0.5, warmup=0.1)(inner)
    for own, other in ((one, two), (two, one)):
        logits = own.detach().clone().requires_grad_()
        batch = replace(
            make_batch(torch.eye(3)[LABELS]), peer_logits=other.detach()[None], progress=0.1
        )
        found = trick(logits, batch).mean()
        found.backward()
        torch.testing.assert_close(found, expected)
        torch.testing.assert_close(logits.grad, own.grad)


def test_all_samples_count_at_the_start(make_batch, inner):
    one, two = torch.randn(2, 6, 3, generator=torch.Generator().manual_seed(1))
    batch = replace(make_batch(torch.eye(3)[LABELS]), peer_logits=two[None])
    found = JointAgreement(forget_rate=0.5)(inner)(one, batch)
    torch.testing.assert_close(found, joint_loss(one, two, 0.85))


def test_a_network_alone_is_an_error(make_batch, inner):
    with pytest.raises(PluginError, match="networks=2"):
        JointAgreement()(inner)(torch.zeros(6, 3), make_batch(torch.eye(3)[LABELS]))


@pytest.mark.parametrize("knobs", [{"agreement": 1.1}, {"forget_rate": 1}, {"warmup": -1}])
def test_bad_knobs_are_refused(knobs):
    with pytest.raises(HarnessError, match=f"{next(iter(knobs))}"):
        JointAgreement(**knobs)
