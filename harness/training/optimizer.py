"""The optimiser of a stage."""

from __future__ import annotations

import torch
from torch import nn

from harness.values import Stage


def sgd(module: nn.Module, stage: Stage) -> torch.optim.Optimizer:
    """Return the stage's optimiser; batch norm's and biases' parameters are not decayed."""
    decayed = [p for p in module.parameters() if p.requires_grad and p.ndim > 1]
    free = [p for p in module.parameters() if p.requires_grad and p.ndim <= 1]
    groups = [
        {"params": decayed, "weight_decay": stage.optimizer.weight_decay},
        {"params": free, "weight_decay": 0.0},
    ]
    optimizer = stage.optimizer
    return torch.optim.SGD(
        groups, lr=stage.lr, momentum=optimizer.momentum, nesterov=optimizer.nesterov
    )
