"""Learning-rate schedules as pure functions of progress, the share of a stage that is done."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol

from harness.errors import PluginError


class Schedule(Protocol):
    """Multiplies a stage's ``lr``."""

    def factor(self, progress: float) -> float:
        """Return the factor at ``progress`` in [0, 1], the share of the stage's steps done."""
        ...


@dataclass(frozen=True, kw_only=True)
class Constant:
    """The same learning rate throughout."""

    def factor(self, progress: float) -> float:  # noqa: ARG002 - the protocol's signature
        """Return 1."""
        return 1.0


@dataclass(frozen=True, kw_only=True)
class WarmupCosine:
    """Linear from 0 over the share ``warmup`` of the steps, then half a cosine down to 0.

    The cosine runs over what the warm-up leaves, so the warm-up does not shorten it.
    """

    warmup: float = 0.05

    def __post_init__(self) -> None:
        """Refuse a warm-up that leaves nothing to the cosine."""
        if not 0 <= self.warmup < 1:
            raise PluginError(f"WarmupCosine warms up for {self.warmup}; choose from 0 to below 1")

    def factor(self, progress: float) -> float:
        """Return the factor; 1 at the end of the warm-up."""
        if progress < self.warmup:
            return progress / self.warmup
        return 0.5 * (1 + math.cos(math.pi * (progress - self.warmup) / (1 - self.warmup)))


@dataclass(frozen=True, kw_only=True)
class Steps:
    """Multiply by ``gamma`` at each milestone, a share of the steps."""

    milestones: tuple[float, ...] = (1 / 3, 2 / 3, 8 / 9)
    gamma: float = 0.1

    def factor(self, progress: float) -> float:
        """Return ``gamma`` to the number of milestones passed."""
        return float(self.gamma ** sum(progress >= milestone for milestone in self.milestones))


@dataclass(frozen=True, kw_only=True)
class Part:
    """The part of a longer schedule from ``begin`` to ``end``, shares of the whole.

    With it, stages that continue one another share one schedule.
    """

    whole: Schedule
    begin: float
    end: float

    def __post_init__(self) -> None:
        """Check that the part is inside the whole and not empty."""
        if not 0 <= self.begin < self.end <= 1:
            raise PluginError(
                f"a Part needs 0 <= begin < end <= 1, got begin={self.begin} and end={self.end}"
            )

    def factor(self, progress: float) -> float:
        """Return the whole schedule's factor."""
        return self.whole.factor(self.begin + progress * (self.end - self.begin))
