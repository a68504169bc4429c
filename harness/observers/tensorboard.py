"""Scalars for TensorBoard: ``tensorboard --logdir ~/.harness/tensorboard``."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from harness.errors import HarnessError
from harness.hookspecs import hookimpl
from harness.spec import RunSpec
from harness.store.files import unwritable
from harness.store.record import digest
from harness.values import Stage

LONGEST_NAME = 200  # bytes; the name of a folder may have 255
SHORTENED = 50  # characters, of up to four bytes
WRITTEN_SECONDS = 1.0


class _Step(NamedTuple):
    step: int
    wall_time: float
    scalars: Mapping[str, float]


@dataclass
class TensorBoard:
    """Writes loss, learning rate, weight and images per second by step, accuracy by epoch.

    TensorBoard's ``SummaryWriter`` is not used: it writes from a thread, which prints a traceback
    if the disk is full, takes a second to import and five times as long for each step.
    """

    _folder: Path = field(default_factory=Path, repr=False)
    _path: Path = field(default_factory=Path, repr=False)
    _steps: list[_Step] = field(default_factory=list, repr=False)
    _written: float = field(default=0.0, repr=False)

    @hookimpl
    def on_run_start(self, spec: RunSpec) -> None:
        """Choose the run's folder."""
        name = f"{spec.label} seed={spec.seed} {spec.data}".replace("/", "_")
        if len(name.encode()) > LONGEST_NAME:
            name = f"{name[:SHORTENED]}... {digest(name)[:12]}"
        self._folder = spec.home / "tensorboard" / name

    @hookimpl
    def on_stage_start(self, stage: Stage, first_step: int) -> None:
        """Open a new file for the stage; in a resumed stage it hides the steps that were lost."""
        from tensorboard.compat.proto.event_pb2 import (
            Event,
            SessionLog,
        )

        name = f"events.out.tfevents.{time.time_ns()}.{socket.gethostname()}.{os.getpid()}"
        self._path = self._folder / stage.name / name
        self._steps, self._written = [], time.time()
        with self._one_line_errors():
            self._path.parent.mkdir(parents=True, exist_ok=True)
        started = SessionLog(status=SessionLog.START)
        self._write(
            Event(wall_time=self._written, file_version="brain.Event:2"),
            Event(wall_time=self._written, step=first_step + 1, session_log=started),
        )

    @hookimpl
    def on_step_end(self, step: int, scalars: Mapping[str, float]) -> None:
        """Write the collected scalars, at most once a second, and after each epoch."""
        now = time.time()
        self._steps.append(_Step(step, now, scalars))
        if abs(now - self._written) > WRITTEN_SECONDS or "epoch_loss" in scalars:
            self.on_stage_end()

    @hookimpl
    def on_stage_end(self) -> None:
        """Write the scalars that are not written yet."""
        from tensorboard.compat.proto.event_pb2 import Event
        from tensorboard.compat.proto.summary_pb2 import Summary

        events = []
        for step, wall_time, scalars in self._steps:
            values = [
                Summary.Value(tag=name, simple_value=value)
                for name, value in scalars.items()
                if name != "seconds_left"
            ]
            events.append(Event(wall_time=wall_time, step=step, summary=Summary(value=values)))
        self._steps, self._written = [], time.time()
        if events:
            self._write(*events)

    def _write(self, *events: Any) -> None:
        from tensorboard.summary.writer.record_writer import (
            RecordWriter,
        )

        with self._one_line_errors(), self._path.open("ab") as file:
            writer = RecordWriter(file)
            for event in events:
                writer.write(event.SerializeToString())

    @contextmanager
    def _one_line_errors(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise HarnessError(unwritable(self._path, error)) from error
