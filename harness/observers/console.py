"""The console: stages, epochs and speed of a run, on standard error."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from harness.hookspecs import hookimpl
from harness.progress import ProgressLine
from harness.spec import RunSpec
from harness.store.record import ResultRecord
from harness.values import Plan, Stage

LOG_SECONDS = 10.0


def _new_line() -> ProgressLine:
    return ProgressLine(at_once=True, file_seconds=LOG_SECONDS)


@dataclass
class Console:
    """Writes stage, epoch, loss, images per second and time left to standard error."""

    _line: ProgressLine = field(default_factory=_new_line, repr=False)
    _last: dict[str, float] = field(default_factory=dict, repr=False)

    @hookimpl
    def on_run_start(self, spec: RunSpec, plan: Plan) -> None:
        """Print the run's label, seed, data set and stages."""
        names = " -> ".join(stage.name for stage in plan.stages)
        self._line.leave(f"{spec.label}, seed {spec.seed}, on {spec.data}: {names}")

    @hookimpl
    def on_stage_start(self, stage: Stage, steps: int, first_step: int) -> None:
        """Print the length of a stage, and the step at which it continues."""
        where = f" continues at step {first_step}" if first_step else ""
        self._line.leave(
            f"{stage.name}{where}: {steps} steps, {stage.epochs} epochs, {stage.backbone}"
        )
        self._last, self._line = {}, _new_line()

    @hookimpl
    def on_step_end(self, stage: Stage, scalars: Mapping[str, float]) -> None:
        """Show the newest scalars, not more often than a person can read."""
        self._last |= scalars
        self._line.show(progress(stage, self._last))

    @hookimpl
    def on_stage_end(self, stage: Stage, scalars: Mapping[str, float]) -> None:
        """Print the last scalars of a stage."""
        if scalars["cached"]:
            self._line.leave(f"{stage.name}: done before, reused")
        else:
            end = {"epoch": float(stage.epochs), "seconds_left": 0.0, **scalars}
            self._line.leave(progress(stage, self._last | end))

    @hookimpl
    def on_run_end(self, record: ResultRecord) -> None:
        """Print the id of the record."""
        self._line.leave(f"{record.id}: done")


def progress(stage: Stage, scalars: Mapping[str, float]) -> str:
    """Return the line of progress for the newest scalars."""
    parts = [f"{stage.name}: epoch {scalars.get('epoch', 0):.1f}/{stage.epochs}"]
    if "loss" in scalars:
        parts.append(f"loss {scalars['loss']:.3f}")
    if "images_per_second" in scalars:
        parts.append(f"{scalars['images_per_second']:,.0f} images/s")
    if "val_top1" in scalars:
        parts.append(f"val top-1 {scalars['val_top1']:.1%}")
    if scalars.get("seconds_left"):
        parts.append(f"{duration(scalars['seconds_left'])} left")
    return ", ".join(parts)


def duration(seconds: float) -> str:
    """Return seconds in words: "45 s", "3 min 20 s", "5 h 07 min"."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"
