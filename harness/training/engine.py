"""The engine protocol of the loop, and the plain torch engine, which is the reference."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from harness.training.compiled import compiled
from harness.training.optimizer import build_optimizer, set_lr
from harness.training.ranks import Ranks
from harness.values import Precision, Stage

DTYPES: dict[Precision, torch.dtype | None] = {
    "fp32": None,
    "bf16": torch.bfloat16,
    "fp16": torch.float16,
}


def autocast(stage: Stage, device: torch.device) -> AbstractContextManager[object]:
    """Return the context in which a stage's network computes in the stage's precision."""
    dtype = DTYPES[stage.precision]
    return nullcontext() if dtype is None else torch.autocast(device.type, dtype=dtype)


class Engine(Protocol):
    """Forward, backward and update of one network on this rank's device.

    For each micro-batch of a global batch the loop calls forward, ``backward`` and ``step``; the
    engine divides the loss by the accumulation and updates the weights after the last one.
    """

    name: str
    module: nn.Module

    def __call__(self, images: Tensor) -> Tensor | Mapping[str, Tensor]:
        """Return logits ``(B, K)``, or outputs by name, in the stage's precision."""
        ...

    def backward(self, loss: Tensor) -> None:
        """Add the gradients of one micro-batch's mean loss."""
        ...

    def step(self) -> None:
        """Update the weights if this micro-batch ends an accumulation."""
        ...

    def set_lr(self, lr: float) -> None:
        """Set the learning rate of the next update."""
        ...

    def state(self) -> dict[str, Any]:
        """Return everything that the next step depends on, as tensors and plain values."""
        ...

    def load_state(self, state: dict[str, Any]) -> None:
        """Resume from a value that ``state`` returned."""
        ...


class TorchEngine:
    """Plain PyTorch: autocast, gradient scaling for fp16, accumulation and clipping."""

    name = "torch"

    def __init__(self, module: nn.Module, stage: Stage, ranks: Ranks) -> None:
        self.module = module.to(ranks.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self._stage, self._ranks, self._micro_steps = stage, ranks, 0
        self._optimizer = build_optimizer(self.module, stage)
        self._scaler = torch.amp.GradScaler(ranks.device.type, enabled=stage.precision == "fp16")
        self._parameters = [p for p in self.module.parameters() if p.requires_grad]
        self._forward = compiled(self.module, stage)
        for parameter in self.module.parameters():
            if ranks.world_size > 1:
                torch.distributed.broadcast(parameter.data, 0)

    def __call__(self, images: Tensor) -> Tensor | Mapping[str, Tensor]:
        """Return logits ``(B, K)``, or outputs by name."""
        with autocast(self._stage, self._ranks.device):
            answer: Tensor | Mapping[str, Tensor] = self._forward(images)
        return answer

    def backward(self, loss: Tensor) -> None:
        """Add the gradients of one micro-batch."""
        scaled: Tensor = self._scaler.scale(loss / self._stage.accumulation)
        scaled.backward()  # type: ignore[no-untyped-call]

    def step(self) -> None:
        """Update the weights if this micro-batch ends an accumulation."""
        ends_update = self._ends_update
        self._micro_steps += 1
        if not ends_update:
            return
        self._average_gradients()
        if self._stage.clip_norm:
            self._scaler.unscale_(self._optimizer)
            nn.utils.clip_grad_norm_(self._parameters, self._stage.clip_norm)
        self._scaler.step(self._optimizer)
        self._scaler.update()
        self._optimizer.zero_grad(set_to_none=True)

    @property
    def _ends_update(self) -> bool:
        return (self._micro_steps + 1) % self._stage.accumulation == 0

    def _average_gradients(self) -> None:
        """Average them over the ranks, one by one, so that nothing else is involved."""
        for parameter in self._parameters:
            if parameter.grad is not None and self._ranks.world_size > 1:
                self._ranks.mean(parameter.grad)

    def set_lr(self, lr: float) -> None:
        """Set the learning rate of the next update."""
        set_lr(self._optimizer, lr)

    def state(self) -> dict[str, Any]:
        """Return module, optimiser and loss scale."""
        return {
            "module": self.module.state_dict(),
            "optimizer": self._optimizer.state_dict(),
            "scaler": self._scaler.state_dict(),
        }

    def load_state(self, state: dict[str, Any]) -> None:
        """Resume from ``state``."""
        self.module.load_state_dict(state["module"])
        self._optimizer.load_state_dict(state["optimizer"])
        self._scaler.load_state_dict(state["scaler"])
