"""JoCoR's stage: the optimiser that its weight of agreement was published for."""

from __future__ import annotations

import pytest
import torch

from harness.assembly.activation import Activation
from harness.assembly.recipe import UNREAD, resolve
from harness.optimizers import AdamW, Sgd
from harness.spec import DataSpec, RunSpec
from harness.tricks.loss.joint_agreement import JointAgreement
from harness.values import Stage


def stage() -> Stage:
    data = DataSpec(name="synthweb", path="tiny")
    active = Activation(RunSpec(plugin="jocor", data=data, full_size=True))
    (only,) = resolve(active.spec, active.hooks, UNREAD).stages
    return only.stage


def test_it_is_trained_as_in_the_papers_code() -> None:
    found = stage()
    assert (found.lr, found.batch_size, found.networks) == (0.001, 128, 2)
    assert found.optimizer == AdamW(weight_decay=0.0)
    assert found.loss == (JointAgreement(agreement=0.85, forget_rate=0.2, warmup=10 / 200),)


@pytest.mark.parametrize(("optimizer", "share"), [(Sgd(weight_decay=0.0), 0.15), (None, 1.0)])
def test_the_weight_of_agreement_does_not_shorten_its_steps(
    optimizer: Sgd | None, share: float
) -> None:
    """Cross-entropy has 1 - 0.85 of its gradient: SGD's first step shrinks with it, Adam's not."""
    moved = []
    for factor in (1.0, 1 - 0.85):
        weight = torch.nn.Parameter(torch.zeros(3))
        group = {"params": [weight], "weight_decay": 0.0}
        built = (optimizer or stage().optimizer).build([group], 0.1)
        weight.grad = factor * torch.tensor([1.0, -2.0, 0.5])
        built.step()
        moved.append(weight.detach().clone())
    torch.testing.assert_close(moved[1], share * moved[0])
