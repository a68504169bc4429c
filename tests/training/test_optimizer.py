"""The fused update is used only for what it reads rightly."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from harness.errors import TrainingError
from harness.training.optimizer import build_optimizer
from harness.values import Stage

STAGE = Stage(name="train", epochs=1, batch_size=8, lr=0.1, backbone="x", input_size=32)


def stepped(module: nn.Module) -> torch.optim.Optimizer:
    optimizer = build_optimizer(module, STAGE)
    optimizer.step()
    return optimizer


def test_a_gradient_in_another_order_is_refused() -> None:
    module = nn.Conv2d(4, 8, 3).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    module.weight.grad = torch.randn(8, 4, 3, 3)
    with pytest.raises(TrainingError, match="the gradient of weight does not lie in memory"):
        stepped(module)


def test_dimensions_of_one_entry_have_no_order() -> None:
    module = nn.Conv2d(4, 8, 1, bias=False).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    before = module.weight.detach().clone()
    module.weight.grad = torch.ones(8, 4, 1, 1)
    assert stepped(module).param_groups[0]["fused"]
    assert (module.weight < before).all()


def test_parameters_that_are_not_dense_are_updated_one_by_one() -> None:
    module = nn.Linear(6, 4, bias=False)
    module.weight = nn.Parameter(torch.randn(4, 12)[:, ::2])
    before = module.weight.detach().clone()
    module.weight.grad = torch.ones(4, 6)
    optimizer = stepped(module)
    assert not optimizer.param_groups[0]["fused"]
    assert (module.weight < before).all()
