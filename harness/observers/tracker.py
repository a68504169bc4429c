"""Scalars and scores for trackio or Weights & Biases, which are called in one way."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Mapping
from contextlib import AbstractContextManager, redirect_stdout
from dataclasses import dataclass, field
from typing import Any, Literal

from harness.errors import HarnessError
from harness.hookspecs import hookimpl
from harness.knobs import assumed
from harness.observers.summaries import final_scores
from harness.spec import RunSpec
from harness.store.record import ResultRecord
from harness.values import Plan, Stage

HOW_TO_INSTALL = {
    "trackio": "pip install 'webvision-harness[track]'",
    "wandb": "pip install wandb",
}
LEFT_OUT = ("seconds_left",)


@dataclass
class Tracker:
    """Tells trackio or wandb of a run: what was asked, scalars by step, final scores.

    Steps are counted over all stages, since both want a number that grows. A stage that was
    finished before counts no steps.
    """

    library: Literal["trackio", "wandb"] = assumed(
        "trackio", "it keeps its files on this machine unless told otherwise"
    )
    project: str = assumed("webvision-harness", "one project for all runs")

    _module: Any = field(default=None, repr=False)
    _before: int = field(default=0, repr=False)  # steps of the stages before this one
    _last: int = field(default=0, repr=False)

    @hookimpl
    def on_run_start(self, spec: RunSpec, plan: Plan) -> None:
        """Begin a run of the tracker; raises HarnessError if the library is not installed."""
        try:
            self._module = importlib.import_module(self.library)
        except ImportError as error:
            raise HarnessError(
                f"--with tracker needs {self.library} ({error}): {HOW_TO_INSTALL[self.library]}"
            ) from error
        self._before = self._last = 0
        config = {
            "method": spec.label,
            "seed": spec.seed,
            "data": str(spec.data),
            "stages": [stage.name for stage in plan.stages],
            **spec.knobs,
        }
        name = f"{spec.label} seed={spec.seed}"
        with _off_standard_output():
            self._module.init(project=self.project, name=name, config=config)

    @hookimpl
    def on_stage_start(self, stage: Stage, first_step: int) -> None:
        """Count the stage's steps from the end of the last one."""
        del stage, first_step
        self._before = self._last

    @hookimpl
    def on_step_end(self, stage: Stage, step: int, scalars: Mapping[str, float]) -> None:
        """Log the scalars of a step."""
        self._last = self._before + step
        named = {f"{stage.name}/{k}": v for k, v in scalars.items() if k not in LEFT_OUT}
        self._module.log(named, step=self._last)

    @hookimpl
    def on_run_end(self, record: ResultRecord) -> None:
        """Log the final scores, and end the tracker's run."""
        self._module.log(final_scores(record), step=self._last + 1)
        with _off_standard_output():
            self._module.finish()


def _off_standard_output() -> AbstractContextManager[object]:
    """Send what the library says to standard error: ``harness run --json`` prints JSON only."""
    return redirect_stdout(sys.stderr)
