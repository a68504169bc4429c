"""Everything of a run for TensorBoard: ``harness tensorboard`` shows HOME/tensorboard."""

from __future__ import annotations

import math
import os
import socket
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from harness.errors import HarnessError
from harness.hookspecs import hookimpl
from harness.observers.summaries import final_scores, looks, session
from harness.spec import RunSpec
from harness.store.curves import curves_of
from harness.store.files import unwritable
from harness.store.record import EffectiveStage, ResultRecord
from harness.values import Batch, Stage

if TYPE_CHECKING:
    from torch.nn import Module
else:
    Module = Any  # annotations of hooks are read at run time, and torch is heavy

WRITTEN_SECONDS = 1.0


class _Step(NamedTuple):
    step: int
    wall_time: float
    scalars: Mapping[str, float]


@dataclass
class TensorBoard:
    """Writes what TensorBoard shows of a run, into one folder for each stage.

    By step: loss, learning rate, weight and images per second; by epoch: accuracy, the pictures of
    a batch after its tricks, histograms of its samples' weights and of the network's. Of a stage
    that an earlier run has trained: what its record has of each epoch. At the end: the run's
    hyper-parameters with its scores.

    TensorBoard's ``SummaryWriter`` is not used: it writes from a thread, which prints a traceback
    if the disk is full, takes a second to import and five times as long for each step.
    """

    _folder: Path = field(default_factory=Path, repr=False)
    _path: Path = field(default_factory=Path, repr=False)
    _steps: list[_Step] = field(default_factory=list, repr=False)
    _written: float = field(default=0.0, repr=False)
    _begun: float = field(default=0.0, repr=False)

    @hookimpl
    def on_run_start(self, spec: RunSpec) -> None:
        """Choose the run's folder."""
        self._folder, self._begun = curves_of(spec), time.time()

    @hookimpl
    def on_stage_start(self, stage: Stage, first_step: int) -> None:
        """Open a new file for the stage; in a resumed stage it hides the steps that were lost."""
        self._open(self._folder / stage.name, first_step)

    @hookimpl
    def on_step_end(self, step: int, scalars: Mapping[str, float]) -> None:
        """Write the collected scalars, at most once a second, and after each epoch."""
        now = time.time()
        self._steps.append(_Step(step, now, scalars))
        if abs(now - self._written) > WRITTEN_SECONDS or "epoch_loss" in scalars:
            self.on_stage_end()

    @hookimpl
    def on_batch(self, stage: Stage, step: int, batch: Batch, network: Module) -> None:
        """Write the pictures of a batch, the weights of its samples and those of the network."""
        from tensorboard.compat.proto.event_pb2 import Event

        del stage
        summary = looks(batch.images, batch.weights, network)
        self._write(Event(wall_time=time.time(), step=step, summary=summary))

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

    @hookimpl
    def on_run_end(self, record: ResultRecord) -> None:
        """Write the epochs of stages that were reused, and the hyper-parameters with the scores."""
        from tensorboard.compat.proto.event_pb2 import Event

        for stage in record.stages:
            if not any((self._folder / stage.name).glob("events.*")):
                self._write_epochs(stage, record.data.train_samples)
        self._open(self._folder, 0)
        summaries = session(record, final_scores(record), self._begun)
        self._write(*(Event(wall_time=time.time(), summary=one) for one in summaries))

    def _write_epochs(self, stage: EffectiveStage, samples: int) -> None:
        """Write a finished stage's history, at the steps at which its epochs ended."""
        per_epoch = math.ceil(samples / int(stage.values.get("batch_size", samples)))
        self._open(self._folder / stage.name, 0)
        for number, entry in enumerate(stage.history, 1):
            scalars = {"epoch_loss" if key == "loss" else key: one for key, one in entry.items()}
            self._steps.append(_Step(number * per_epoch, self._begun, scalars))
        self.on_stage_end()

    def _open(self, folder: Path, first_step: int) -> None:
        from tensorboard.compat.proto.event_pb2 import (
            Event,
            SessionLog,
        )

        name = f"events.out.tfevents.{time.time_ns()}.{socket.gethostname()}.{os.getpid()}"
        self._path = folder / name
        self._steps, self._written = [], time.time()
        with self._one_line_errors():
            self._path.parent.mkdir(parents=True, exist_ok=True)
        started = SessionLog(status=SessionLog.START)
        self._write(
            Event(wall_time=self._written, file_version="brain.Event:2"),
            Event(wall_time=self._written, step=first_step + 1, session_log=started),
        )

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
