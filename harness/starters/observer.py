"""An observer: the loss of every step as a table, below the home of the run."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from harness import Plan, RunSpec, Stage, hookimpl
from harness.store.record import ResultRecord


class Starter:
    """Write HOME/starter/losses.csv while a run trains: ``--with starter``."""

    def __init__(self) -> None:
        self._file: Path | None = None

    @hookimpl
    def on_run_start(self, spec: RunSpec, plan: Plan) -> None:
        """Begin a new table."""
        del plan
        folder = spec.home / "starter"
        folder.mkdir(parents=True, exist_ok=True)
        self._file = folder / "losses.csv"
        self._file.write_text("stage,step,loss\n", encoding="utf-8")

    @hookimpl
    def on_step_end(self, stage: Stage, step: int, scalars: Mapping[str, float]) -> None:
        """Add a line; a finished stage has none, since it is not trained again."""
        if self._file is not None and "loss" in scalars:
            with self._file.open("a", encoding="utf-8") as file:
                file.write(f"{stage.name},{step},{scalars['loss']:.6f}\n")

    @hookimpl
    def on_run_end(self, record: ResultRecord) -> None:
        """Name the record that the table belongs to."""
        if self._file is not None:
            self._file.with_name("record.txt").write_text(f"{record.id}\n", encoding="utf-8")
