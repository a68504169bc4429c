"""A method in two stages: train, then leave out what the first network finds unlikely."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import numpy as np
from pydantic import Field, PositiveInt

from harness import Plan, Samples, Stage, assumed, hookimpl


@dataclass(frozen=True, kw_only=True)
class DropUnlikely:
    """Leave out the ``share`` of each class whose label ``judge`` finds least likely."""

    judge: Stage
    share: float

    def __call__(self, samples: Samples) -> Samples:
        """Return the samples; those left out are in subset -1."""
        likely = samples.predictions(self.judge).of_label
        subset = samples.subset.copy()
        for label in range(samples.num_classes):
            rows = np.flatnonzero(samples.label == label)
            worst = rows[np.argsort(likely[rows], kind="stable")]
            subset[worst[: int(self.share * len(rows))]] = -1
        return samples.assign(subset=subset)


@dataclass(frozen=True, kw_only=True)
class Starter:
    """Train, leave out the samples with unlikely labels, and train on the rest."""

    share: Annotated[float, Field(ge=0, lt=1)] = assumed(0.2, "a guess, to be tuned on val")
    epochs: PositiveInt = assumed(75, "as in baseline, so that budgets are equal")

    @hookimpl
    def plan(self) -> Plan:
        """Return the two stages; the second sees what the first one predicts."""
        judge = Stage(name="judge", epochs=self.epochs // 2)
        drop = DropUnlikely(judge=judge, share=self.share)
        rest = Stage(name="rest", epochs=self.epochs - judge.epochs, sees=(judge,), noise=(drop,))
        return Plan(stages=(judge, rest))
