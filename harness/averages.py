"""How a stage's weights are averaged while it trains."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from harness.errors import PluginError


class Average(Protocol):
    """Says how much of the weights enters their average after a step.

    If it has an attribute ``tested`` that is false, the average only serves the stage's tricks, and
    no run tests it; otherwise it is tested beside the last weights, and the board shows it.
    """

    def share(self, updates: int, progress: float) -> float:
        """Return the share of the current weights, from 0 to 1.

        ``updates`` counts the earlier updates of the average, ``progress`` is the share of the
        stage that is done. 1 makes the average the current weights, 0 leaves it as it is.
        """
        ...


@dataclass(frozen=True, kw_only=True)
class Ema:
    """An exponential moving average; with ``warmup`` it begins as a mean over few steps.

    ``tested=False`` is for a momentum encoder, which is not what a method is judged by.

    **Source:** the warm-up, min(decay, (1 + t) / (10 + t)), is that of TensorFlow's
    ExponentialMovingAverage, which timm has too.
    """

    decay: float = 0.999
    warmup: bool = True
    tested: bool = True

    def __post_init__(self) -> None:
        """Refuse a decay that is not in (0, 1)."""
        if not 0 < self.decay < 1:
            raise PluginError(f"decay of Ema must be in (0, 1), not {self.decay!r}")

    def share(self, updates: int, progress: float) -> float:  # noqa: ARG002
        """Return 1 - decay, more at the beginning."""
        decay = min(self.decay, (1 + updates) / (10 + updates)) if self.warmup else self.decay
        return 1.0 - decay


@dataclass(frozen=True, kw_only=True)
class Swa:
    """The plain mean of the weights after every step from ``start`` of the stage on.

    **Source:** P. Izmailov et al., "Averaging Weights Leads to Wider Optima", UAI 2018; start 0.75
    is theirs. They average once an epoch and recompute batch norm's statistics; here those are
    averaged too.
    """

    start: float = 0.75

    def __post_init__(self) -> None:
        """Refuse a start that is not in [0, 1)."""
        if not 0 <= self.start < 1:
            raise PluginError(f"start of Swa must be in [0, 1), not {self.start!r}")

    def share(self, updates: int, progress: float) -> float:
        """Return 1 / (n + 1) for the n-th update; all of the weights before ``start``.

        So ``updates`` counts the steps before ``start`` as none.
        """
        return 1.0 if progress < self.start else 1.0 / (updates + 1)
