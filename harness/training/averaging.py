"""The average of a network's weights and statistics over the steps of a stage."""

from __future__ import annotations

from typing import Any, TypeAlias

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn.modules.batchnorm import _BatchNorm
from torch.optim.swa_utils import AveragedModel

from harness.assembly.calling import calling
from harness.assembly.contract import check_share
from harness.averages import Average
from harness.errors import PluginError
from harness.training.outputs import logits_of
from harness.values import Stage

Tensors: TypeAlias = tuple[Tensor, ...] | list[Tensor]


class WeightAverage:
    """A copy of a network that follows it as the stage's ``average`` says; twice its memory.

    ``who`` names the average in errors.
    """

    def __init__(self, module: nn.Module, average: Average, who: str = "the average") -> None:
        self._average, self._who, self._mix, self.updates = average, who, _Mix(), 0
        self._averaged = AveragedModel(module, multi_avg_fn=self._mix, use_buffers=True)
        self._averaged.n_averaged += 1  # otherwise the first update copies, whatever its share
        for parameter in self.module.eval().parameters():
            parameter.requires_grad = False

    @property
    def module(self) -> nn.Module:
        """The network with the averaged weights, in evaluation mode."""
        return self._averaged.module

    @property
    def of_batch(self) -> nn.Module:
        """The same network, whose batch norms use a batch's own statistics and keep theirs."""
        return BatchStatistics(self.module).eval()

    def update(self, module: nn.Module, progress: float) -> None:
        """Let the weights after a step enter; ``progress`` is the share of the stage done."""
        with calling(self._who, hook="average", draws=None):
            share = self._average.share(self.updates, progress)
        self._mix.share = share = check_share(self._who, share)
        self.updates = 1 if share == 1.0 else self.updates + 1
        if share:
            self._averaged.update_parameters(module)

    def state(self) -> dict[str, Any]:
        """Return weights and count, as tensors and plain values."""
        return {"averaged": self._averaged.state_dict(), "updates": self.updates}

    def load_state(self, state: dict[str, Any]) -> None:
        """Resume from a value that ``state`` returned."""
        self._averaged.load_state_dict(state["averaged"])
        self.updates = state["updates"]


class _Mix:
    """How new weights enter; no part of ``WeightAverage``, which would then refer to itself."""

    share = 1.0

    @torch.no_grad()
    def __call__(self, averaged: Tensors, current: Tensors, _: Tensor | int) -> None:
        for old, new in zip(averaged, current, strict=True):
            if old.is_floating_point() and self.share < 1.0:
                old.lerp_(new, self.share)
            else:  # a counter, or all of the weights
                old.copy_(new)


class BatchStatistics(nn.Module):
    """A network whose batch norms normalise by the batch, and are left as they were.

    All else is in evaluation mode: no dropout.
    """

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module

    def forward(self, images: Tensor) -> Any:
        """Return what the network says of ``(B, C, H, W)`` images."""
        norms = [part for part in self.module.modules() if isinstance(part, _BatchNorm)]
        copies = {name: buffer.clone() for name, buffer in self.module.named_buffers()}
        for part in norms:
            part.train()
        try:
            return functional_call(self.module, copies, (images,))
        finally:
            for part in norms:
                part.eval()


class MeanOf(nn.Module):
    """Networks as one: its logits are the logarithm of their mean probabilities."""

    def __init__(self, modules: list[nn.Module]) -> None:
        super().__init__()
        self.members = nn.ModuleList(modules)

    def forward(self, images: Tensor) -> Tensor:
        """Return ``(B, K)``."""
        parts = [torch.softmax(logits_of(m(images)).float(), dim=1) for m in self.members]
        return torch.stack(parts).mean(0).clamp_min(1e-12).log()


def check_averaged(stage: Stage, peer: int) -> None:
    """Refuse to ask for averaged weights that a stage does not have."""
    if stage.average is None:
        raise PluginError(f"stage {stage.name!r} has no average; give it average=Ema()")
    if not 0 <= peer < stage.networks:
        raise PluginError(
            f"averaged(peer={peer}) asks for another network, but stage {stage.name!r} has "
            f"{stage.networks}; give it networks={peer + 1}"
        )
