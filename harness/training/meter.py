"""Losses and speed of a stage; stops at a loss that is not finite."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from typing import Protocol

import torch
from torch import Tensor, nn

from harness.errors import TrainingError
from harness.training.position import TrainState
from harness.training.ranks import Ranks
from harness.values import Batch, Stage

CUDA_READ_STEPS = 10  # reading a loss waits for the device, so several are read at once


class Observer(Protocol):
    """Receives the progress of a stage."""

    def on_stage_start(self, stage: Stage, steps: int, first_step: int) -> None:
        """Take the start of a stage, at ``first_step`` if it resumes."""
        ...

    def on_step_end(self, stage: Stage, step: int, scalars: Mapping[str, float]) -> None:
        """Take the scalars of a step."""
        ...

    def on_batch(self, stage: Stage, step: int, batch: Batch, network: nn.Module) -> None:
        """Look at a batch after its tricks, and at the first network."""
        ...


class Meter:
    """The losses of a stage, read from the device every few steps."""

    def __init__(self, stage: Stage, ranks: Ranks, steps: int, position: TrainState) -> None:
        self._stage, self._ranks, self._steps = stage, ranks, steps
        self._position, self._mark = position, time.monotonic()
        self._losses: list[Tensor] = []
        self._weights: list[Tensor] = []
        self._every = CUDA_READ_STEPS if ranks.device.type == "cuda" else 1

    def add(self, loss: Tensor, batch: Batch) -> None:
        """Take one micro-batch's loss and weights, without waiting for the device."""
        self._losses.append(loss.detach())
        self._weights.append(batch.weights)

    def due(self) -> bool:
        """Return whether enough steps were taken to read the losses."""
        return len(self._losses) >= self._every * self._stage.accumulation

    def read(self, lr: float) -> dict[str, float]:
        """Return the scalars of the steps since the last reading.

        Raises TrainingError that names stage, step and learning rate if a loss is not finite.
        """
        micros = self._stage.accumulation
        steps = len(self._losses) // micros
        weight = torch.cat(self._weights).mean()
        # One tensor, because each one that is read waits for the device.
        *losses, mean_weight = self._ranks.mean(torch.stack([*self._losses, weight])).tolist()
        for place, value in enumerate(losses):
            if not math.isfinite(value):
                step = self._position.step - steps + place // micros + 1
                lower = self._stage.lr / 10
                raise TrainingError(
                    f"stage {self._stage.name!r}: the loss is {value} at step {step} of "
                    f"{self._steps}, learning rate {lr:.4g}; try --stage lr={lower:.2g}"
                )
        self._losses, self._weights = [], []
        self._position.loss_sum += sum(losses) / micros
        return {"loss": sum(losses) / len(losses), "lr": lr, "weight": mean_weight, **self._speed()}

    def pause(self) -> None:
        """Count the time until now as training."""
        now = time.monotonic()
        self._position.seconds += now - self._mark
        self._mark = now

    def go_on(self) -> None:
        """Do not count the time since the pause."""
        self._mark = time.monotonic()

    @property
    def images_per_second(self) -> float:
        """The mean over the stage so far, without evaluation and checkpoints."""
        images = self._position.step * self._stage.batch_size
        return images / self._position.seconds if self._position.seconds else 0.0

    def _speed(self) -> dict[str, float]:
        self.pause()
        step = self._position.step
        return {
            "images_per_second": self.images_per_second,
            "seconds_left": self._position.seconds / step * (self._steps - step),
            "epoch": step * self._stage.epochs / self._steps,
        }
