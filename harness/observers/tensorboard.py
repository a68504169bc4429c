"""Scalars for TensorBoard: ``tensorboard --logdir ~/.harness/tensorboard``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from harness.hookspecs import hookimpl
from harness.record import ResultRecord, digest
from harness.spec import RunSpec
from harness.values import Stage

LONGEST_NAME = 200  # bytes; a folder's name may have 255
SHORTENED = 50  # characters, of up to four bytes


@dataclass
class TensorBoard:
    """Writes loss, learning rate, weight and images per second by step, accuracy by epoch."""

    _folder: str = field(default="", repr=False)
    _writer: Any = field(default=None, repr=False)

    @hookimpl
    def on_run_start(self, spec: RunSpec) -> None:
        """Choose the run's folder."""
        name = f"{spec.label} seed={spec.seed} {spec.data}".replace("/", "_")
        if len(name.encode()) > LONGEST_NAME:
            name = f"{name[:SHORTENED]}... {digest(name)[:12]}"
        self._folder = str(spec.home / "tensorboard" / name)

    @hookimpl
    def on_stage_start(self, stage: Stage, first_step: int) -> None:
        """Open the stage's own file; a resumed stage hides what the lost steps had written."""
        from torch.utils.tensorboard import SummaryWriter

        folder = f"{self._folder}/{stage.name}"
        self._writer = SummaryWriter(folder, purge_step=first_step + 1, flush_secs=10)

    @hookimpl
    def on_step_end(self, step: int, scalars: Mapping[str, float]) -> None:
        """Write the scalars of a step."""
        if self._writer is None:
            return
        for name, value in scalars.items():
            if name != "seconds_left":
                self._writer.add_scalar(name, value, step)

    @hookimpl
    def on_stage_end(self) -> None:
        """Close the stage's file."""
        if self._writer is not None:
            self._writer.close()
        self._writer = None

    @hookimpl
    def on_run_end(self, record: ResultRecord) -> None:  # noqa: ARG002 - a hook's signature
        """Close what a failed stage left open."""
        self.on_stage_end()
