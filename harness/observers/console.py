"""Progress for people: one live line on a terminal, plain log lines elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field

from harness.hookspecs import hookimpl
from harness.spec import RunSpec
from harness.store.record import ResultRecord
from harness.terminal import visible
from harness.values import Plan, Stage

LIVE_SECONDS = 0.1
LOG_SECONDS = 10.0
CLEAR = "\r\x1b[2K"


def _on_terminal() -> bool:
    return sys.stderr.isatty()


@dataclass
class Console:
    """Writes stage, epoch, loss, images per second and time left to standard error."""

    live: bool = field(default_factory=_on_terminal)
    _next: float = field(default=0.0, repr=False)
    _last: dict[str, float] = field(default_factory=dict, repr=False)

    @hookimpl
    def on_run_start(self, spec: RunSpec, plan: Plan) -> None:
        """Say what is about to be made."""
        names = " -> ".join(stage.name for stage in plan.stages)
        self._line(f"{spec.label}, seed {spec.seed}, on {spec.data}: {names}")

    @hookimpl
    def on_stage_start(self, stage: Stage, steps: int, first_step: int) -> None:
        """Say that a stage begins, or where it goes on."""
        where = f" goes on at step {first_step}" if first_step else ""
        self._last, self._next = {}, time.monotonic()
        self._line(f"{stage.name}{where}: {steps} steps, {stage.epochs} epochs, {stage.backbone}")

    @hookimpl
    def on_step_end(self, stage: Stage, scalars: Mapping[str, float]) -> None:
        """Show the newest scalars, not more often than a person can read."""
        self._last |= scalars
        now = time.monotonic()
        if now < self._next:
            return
        self._next = now + (LIVE_SECONDS if self.live else LOG_SECONDS)
        text = progress(stage, self._last)
        if self.live:
            sys.stderr.write(CLEAR + visible(text))
            sys.stderr.flush()
        else:
            self._line(text)

    @hookimpl
    def on_stage_end(self, stage: Stage, scalars: Mapping[str, float]) -> None:
        """Say how a stage ended."""
        if scalars["cached"]:
            self._line(f"{stage.name}: done before, reused")
        else:
            end = {"epoch": float(stage.epochs), "seconds_left": 0.0, **scalars}
            self._line(progress(stage, self._last | end))

    @hookimpl
    def on_run_end(self, record: ResultRecord) -> None:
        """Leave the cursor on a line of its own."""
        self._line(f"{record.id}: done")

    def _line(self, text: str) -> None:
        sys.stderr.write(f"{CLEAR if self.live else ''}{visible(text)}\n")
        sys.stderr.flush()


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
