"""Scalars for TensorBoard: ``tensorboard --logdir ~/.harness/tensorboard``."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from harness.errors import HarnessError
from harness.files import unwritable
from harness.hookspecs import hookimpl
from harness.record import digest
from harness.spec import RunSpec
from harness.values import Stage

LONGEST_NAME = 200  # bytes; a folder's name may have 255
SHORTENED = 50  # characters, of up to four bytes


@dataclass
class TensorBoard:
    """Writes loss, learning rate, weight and images per second by step, accuracy by epoch.

    TensorBoard's own ``SummaryWriter`` writes from a thread, which prints a traceback where the
    disk is full, and takes a second to import; one record a step, written at once, does as well.
    """

    _folder: Path = field(default_factory=Path, repr=False)
    _path: Path = field(default_factory=Path, repr=False)

    @hookimpl
    def on_run_start(self, spec: RunSpec) -> None:
        """Choose the run's folder."""
        name = f"{spec.label} seed={spec.seed} {spec.data}".replace("/", "_")
        if len(name.encode()) > LONGEST_NAME:
            name = f"{name[:SHORTENED]}... {digest(name)[:12]}"
        self._folder = spec.home / "tensorboard" / name

    @hookimpl
    def on_stage_start(self, stage: Stage, first_step: int) -> None:
        """Begin the stage's own file; a resumed stage hides what the lost steps had written."""
        from tensorboard.compat.proto.event_pb2 import SessionLog  # type: ignore[import-untyped]

        name = f"events.out.tfevents.{time.time_ns()}.{socket.gethostname()}.{os.getpid()}"
        self._path = self._folder / stage.name / name
        with self._said():
            self._path.parent.mkdir(parents=True, exist_ok=True)
        self._write(file_version="brain.Event:2")
        self._write(step=first_step + 1, session_log=SessionLog(status=SessionLog.START))

    @hookimpl
    def on_step_end(self, step: int, scalars: Mapping[str, float]) -> None:
        """Write the scalars of a step."""
        from tensorboard.compat.proto.summary_pb2 import Summary  # type: ignore[import-untyped]

        values = [
            Summary.Value(tag=name, simple_value=value)
            for name, value in scalars.items()
            if name != "seconds_left"
        ]
        self._write(step=step, summary=Summary(value=values))

    def _write(self, **content: Any) -> None:
        from tensorboard.compat.proto.event_pb2 import Event
        from tensorboard.summary.writer.record_writer import (  # type: ignore[import-untyped]
            RecordWriter,
        )

        event = Event(wall_time=time.time(), **content)
        with self._said(), self._path.open("ab") as file:
            RecordWriter(file).write(event.SerializeToString())

    @contextmanager
    def _said(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise HarnessError(unwritable(self._path, error)) from error
