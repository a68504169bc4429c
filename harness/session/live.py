"""Writes the progress of a stage into the home; observers get theirs separately."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path

from torch import nn

from harness.spec import RunSpec
from harness.store.live import drop_live, write_live
from harness.training.meter import Observer
from harness.training.ranks import Ranks
from harness.values import Batch, Stage

SECONDS = 1.0  # between two reports


class Live:
    """Passes on to the observers, and writes a report at most once a second, on the first rank."""

    def __init__(self, observer: Observer, spec: RunSpec, folder: Path, ranks: Ranks) -> None:
        self._observer, self._spec, self._folder = observer, spec, folder
        self._writes = ranks.first
        self._steps, self._next = 0, 0.0
        self._scalars: dict[str, float] = {}

    def on_stage_start(self, stage: Stage, steps: int, first_step: int) -> None:
        """Take the start of a stage, at ``first_step`` if it resumes."""
        self._observer.on_stage_start(stage, steps, first_step)
        self._steps = steps
        self._report(stage, first_step)

    def on_step_end(self, stage: Stage, step: int, scalars: Mapping[str, float]) -> None:
        """Take the scalars of a step."""
        self._observer.on_step_end(stage, step, scalars)
        self._scalars |= scalars
        if time.monotonic() >= self._next or "epoch_loss" in scalars:
            self._report(stage, step)

    def on_batch(self, stage: Stage, step: int, batch: Batch, network: nn.Module) -> None:
        """Look at a batch after its tricks, and at the first network."""
        self._observer.on_batch(stage, step, batch, network)

    def end(self) -> None:
        """Take the end of the training, or of the run: only a killed one leaves its report."""
        if self._writes:
            drop_live(self._folder)

    def _report(self, stage: Stage, step: int) -> None:
        self._next = time.monotonic() + SECONDS
        if self._writes:
            says = {
                "label": self._spec.label,
                "seed": self._spec.seed,
                "data": str(self._spec.data),
                "stage": stage.name,
                "step": step,
                "steps": self._steps,
                "epochs": stage.epochs,
                "scalars": self._scalars,
            }
            write_live(self._folder, says)
