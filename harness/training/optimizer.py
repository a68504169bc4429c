"""The optimiser of a stage: its groups of parameters, and what is left as it is."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from harness.errors import TrainingError
from harness.optimizers import Sam
from harness.training.sharpness_aware import SharpnessAware
from harness.values import Stage


def build_optimizer(module: nn.Module, stage: Stage) -> torch.optim.Optimizer:
    """Return the stage's optimiser; batch norm's and biases' parameters are not decayed.

    torch's fused kernels read memory from start to end, so gradients must have the layout
    of their parameters; autograd promises that for dense ones. The first update checks it and
    raises TrainingError otherwise.
    """
    built = stage.optimizer.build(parameter_groups(module, stage), stage.lr)
    if isinstance(stage.optimizer, Sam):
        built = SharpnessAware(built, stage.optimizer.rho)
    for group in built.param_groups:
        group.setdefault("lr_scale", 1.0)
    if any(group.get("fused") for group in built.param_groups):
        _check_first_update(built, module)
    set_lr(built, stage.lr)
    return built


def set_lr(optimizer: torch.optim.Optimizer, lr: float) -> None:
    """Set the learning rate of the next update, in proportion for every group."""
    for group in optimizer.param_groups:
        group["lr"] = lr * group["lr_scale"]


def parameter_groups(module: nn.Module, stage: Stage) -> list[dict[str, Any]]:
    """Return the parameters that are trained, in groups of one decay and one learning rate."""
    decay, rates = stage.optimizer.weight_decay, _rates(module, stage)
    groups: dict[tuple[float, float], dict[str, Any]] = {}
    for decayed in (True, False):  # all that is decayed first
        for name, parameter in module.named_parameters():
            if not parameter.requires_grad or (parameter.ndim > 1) != decayed:
                continue
            of = (decay if decayed else 0.0, rates[name])
            empty = {"params": [], "weight_decay": of[0], "lr_scale": of[1]}
            groups.setdefault(of, empty)["params"].append(parameter)
    return list(groups.values())


def _rates(module: nn.Module, stage: Stage) -> dict[str, float]:
    """Return the factor of the learning rate of each parameter by its name."""
    names = {id(parameter): name for name, parameter in module.named_parameters()}
    rates = dict.fromkeys(names.values(), 1.0)
    if stage.groups.layer_decay != 1.0:
        import timm.optim

        known: Any = timm.optim
        decay = stage.groups.layer_decay
        groups = known.param_groups_layer_decay(module, layer_decay=decay)
        if len({group["lr_scale"] for group in groups}) < 2:  # timm only warns
            raise TrainingError(
                f"stage {stage.name!r}: layer_decay={decay} would have no effect, since timm finds "
                "only one layer in the network; give it timm's group_matcher, or leave layer_decay "
                "at 1"
            )
        for group in groups:
            rates |= {names[id(parameter)]: group["lr_scale"] for parameter in group["params"]}
    if stage.groups.head != 1.0:
        for name in _head(module, stage):
            rates[name] *= stage.groups.head
    return rates


def freeze(module: nn.Module, stage: Stage) -> None:
    """Mark the parameters that the stage does not train; raises TrainingError if none is left."""
    head = _head(module, stage) if stage.groups.trained == "head" else None
    for prefix in stage.groups.frozen:
        if not any(name.startswith(prefix) for name, _ in module.named_parameters()):
            raise TrainingError(
                f"stage {stage.name!r}: no parameter begins with {prefix!r}, so it cannot be frozen"
            )
    for name, parameter in module.named_parameters():
        if name.startswith(stage.groups.frozen) or (head is not None and name not in head):
            parameter.requires_grad = False
    if not any(parameter.requires_grad for parameter in module.parameters()):
        raise TrainingError(f"stage {stage.name!r}: no parameter is left to train")


def train_mode(module: nn.Module) -> None:
    """Put a network in training mode; parts of which no parameter is trained keep statistics."""
    module.train()
    for part in module.modules():
        own = list(part.parameters())
        if own and not any(parameter.requires_grad for parameter in own):
            part.eval()


def _head(module: nn.Module, stage: Stage) -> set[str]:
    """Return the names of the classifier's parameters; raises TrainingError if it is unknown."""
    ask: Any = getattr(module, "get_classifier", None)
    head = ask() if callable(ask) else None
    own = {id(parameter) for parameter in head.parameters()} if head is not None else set()
    names = {name for name, parameter in module.named_parameters() if id(parameter) in own}
    if not names:
        raise TrainingError(
            f"stage {stage.name!r}: the classifier has a separate learning rate, but the "
            "network's get_classifier() returns no part with parameters"
        )
    return names


def _check_first_update(optimizer: torch.optim.Optimizer, module: nn.Module) -> None:
    """Raise TrainingError at the first update if a gradient's layout is not its parameter's."""

    def check(*_: object) -> None:
        handle.remove()
        for name, parameter in module.named_parameters():
            gradient = parameter.grad
            if gradient is not None and _order(gradient) != _order(parameter):
                raise TrainingError(
                    f"the gradient of {name} does not have the parameter's layout in memory "
                    f"(strides {gradient.stride()} and {parameter.stride()}), so the fused update "
                    "would be wrong; leave the layout of gradients to autograd"
                )

    handle = optimizer.register_step_pre_hook(check)


def _order(tensor: torch.Tensor) -> list[int]:
    """Return the strides of the dimensions that have more than one entry: the others are free."""
    return [step for step, size in zip(tensor.stride(), tensor.shape, strict=True) if size > 1]
