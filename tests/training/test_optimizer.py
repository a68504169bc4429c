"""Optimisers: the fused update is used only for what it reads rightly; parts and rates."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import timm
import timm.optim
import torch
from torch import nn

from harness.averages import Ema, Swa
from harness.errors import PluginError, TrainingError
from harness.optimizers import AdamW, Groups, Lamb, Sam, Sgd, TimmOptimizer
from harness.training.optimizer import build_optimizer, freeze, train_mode
from harness.training.sharpness_aware import SharpnessAware
from harness.values import Stage

STAGE = Stage(name="train", epochs=1, batch_size=8, lr=0.1, backbone="x", input_size=32)


def stepped(module: nn.Module) -> torch.optim.Optimizer:
    optimizer = build_optimizer(module, STAGE)
    optimizer.step()
    return optimizer


def test_a_gradient_in_another_order_is_refused() -> None:
    module = nn.Conv2d(4, 8, 3).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    module.weight.grad = torch.randn(8, 4, 3, 3)
    with pytest.raises(
        TrainingError, match="the gradient of weight does not have the parameter's layout"
    ):
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


# optimisers as values, and the parts that they train


class Deep(nn.Module):
    """Layers in timm's sense: a stem, two blocks, a head."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4))
        self.blocks = nn.ModuleList([nn.Linear(4, 4), nn.Linear(4, 4)])
        self.head = nn.Linear(4, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.stem(x)
        for block in self.blocks:
            x = block(x)
        return self.head(x)

    def get_classifier(self) -> nn.Module:
        return self.head


def rates(module: nn.Module, **stage: Any) -> dict[str, tuple[float, float]]:
    """Return decay and learning rate of each parameter by its name."""
    asked = replace(STAGE, **stage)
    freeze(module, asked)
    names = {id(parameter): name for name, parameter in module.named_parameters()}
    optimizer = build_optimizer(module, asked)
    return {
        names[id(p)]: (group["weight_decay"], group["lr"])
        for group in optimizer.param_groups
        for p in group["params"]
    }


@pytest.mark.parametrize(
    ("optimizer", "kind"),
    [
        (Sgd(), torch.optim.SGD),
        (AdamW(), torch.optim.AdamW),
        (Lamb(), timm.optim.Lamb),
        (TimmOptimizer(name="lion", weight_decay=0.1), timm.optim.Lion),
        (Sam(), SharpnessAware),
    ],
)
def test_every_optimiser_takes_a_step_and_resumes(optimizer: Any, kind: type) -> None:
    torch.manual_seed(0)
    module, again = Deep(), Deep()
    again.load_state_dict(module.state_dict())
    asked = replace(STAGE, optimizer=optimizer, lr=0.01)
    built, other = build_optimizer(module, asked), build_optimizer(again, asked)
    assert type(built) is kind
    inputs = torch.randn(8, 4)

    def steps(module: nn.Module, built: torch.optim.Optimizer, count: int) -> None:
        for _ in range(count * optimizer.passes):
            built.zero_grad()
            (module(inputs) ** 2).mean().backward()
            built.step()

    before = (module(inputs) ** 2).mean().item()
    steps(module, built, 3)
    assert (module(inputs) ** 2).mean().item() < before
    again.load_state_dict(module.state_dict())
    other.load_state_dict(copy.deepcopy(built.state_dict()))  # torch shares what it is given
    steps(module, built, 2)
    steps(again, other, 2)
    for mine, its in zip(module.parameters(), again.parameters(), strict=True):
        torch.testing.assert_close(mine, its, rtol=0, atol=0)


def test_sharpness_is_the_gradient_at_the_edge_of_a_ball() -> None:
    """By hand: f(w) = w0^2 + 4 w1^2 at (3, 1); rho 0.1; plain descent at rate 0.1."""
    weight = nn.Parameter(torch.tensor([3.0, 1.0]))
    sgd = torch.optim.SGD([weight], lr=0.1)
    optimizer = SharpnessAware(sgd, rho=0.1)
    factors = torch.tensor([1.0, 4.0])
    for _ in range(2):
        optimizer.zero_grad()
        (factors * weight**2).sum().backward()
        optimizer.step()
    gradient = torch.tensor([6.0, 8.0])  # of length 10
    edge = torch.tensor([3.0, 1.0]) + 0.1 * gradient / 10
    torch.testing.assert_close(weight.detach(), torch.tensor([3.0, 1.0]) - 0.1 * 2 * factors * edge)
    with pytest.raises(ValueError, match="instead of a closure"):
        optimizer.step(lambda: 0.0)


def test_the_head_is_faster_and_early_layers_are_slower() -> None:
    network = timm.create_model("test_vit", num_classes=3)
    found = rates(network, groups=Groups(head=10.0, layer_decay=0.5))
    assert found["head.weight"] == (1e-4, pytest.approx(1.0))
    assert found["head.bias"] == (0.0, pytest.approx(1.0))
    blocks = [found[f"blocks.{number}.mlp.fc1.weight"][1] for number in range(len(network.blocks))]
    assert blocks[0] == pytest.approx(blocks[1] / 2)
    assert blocks[-1] <= 0.05
    assert found["patch_embed.proj.weight"][1] == pytest.approx(blocks[0] / 2)
    assert set(rates(Deep()).values()) == {(1e-4, 0.1), (0.0, 0.1)}


def test_a_layer_decay_without_layers_is_refused() -> None:
    asked = replace(STAGE, groups=Groups(layer_decay=0.5))
    with pytest.raises(TrainingError, match=r"layer_decay=0.5 would have no effect"):
        build_optimizer(nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2)), asked)


def test_what_is_frozen_keeps_weights_and_statistics() -> None:
    module = Deep()
    assert set(rates(module, groups=Groups(trained="head"))) == {"head.weight", "head.bias"}
    train_mode(module)
    assert not module.stem.training
    assert module.head.training
    module(torch.randn(8, 4) + 5)
    assert module.stem[1].running_mean.tolist() == [0.0] * 4
    assert "stem.0.weight" not in rates(Deep(), groups=Groups(frozen=("stem",)))


@pytest.mark.parametrize(
    ("groups", "words"),
    [
        (Groups(frozen=("nosuch",)), "no parameter begins with 'nosuch'"),
        (Groups(frozen=("stem", "blocks", "head")), "no parameter is left to train"),
    ],
)
def test_freezing_nothing_or_all_is_refused(groups: Groups, words: str) -> None:
    with pytest.raises(TrainingError, match=words):
        freeze(Deep(), replace(STAGE, groups=groups))
    with pytest.raises(TrainingError, match="get_classifier"):
        freeze(nn.Linear(2, 2), replace(STAGE, groups=Groups(trained="head")))


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: Sgd(momentum=1.0), "momentum must be in"),
        (lambda: AdamW(betas=(0.9, 1.0)), "betas must be two numbers"),
        (lambda: Sam(rho=0.0), "rho must be above 0"),
        (lambda: Groups(head=0.0), "head of Groups must be above 0"),
        (lambda: Groups(trained="body"), "trained of Groups"),  # type: ignore[arg-type]
        (lambda: Ema(decay=1.0), "decay of Ema"),
        (lambda: Swa(start=1.0), "start of Swa"),
        (lambda: TimmOptimizer(name="nosuch").build([], 0.1), "timm has no optimiser 'nosuch'"),
    ],
)
def test_values_out_of_range_are_refused(make: Callable[[], object], words: str) -> None:
    with pytest.raises(PluginError, match=words):
        make()
