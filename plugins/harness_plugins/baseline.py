"""The reference that every method must beat: cross-entropy on the labels as found."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from pydantic import PositiveInt

from harness import Plan, Stage, assumed, hookimpl
from harness.tricks.testing.crops import MultiCrop


@dataclass(frozen=True, kw_only=True)
class Baseline:
    """Cross-entropy with SGD, warm-up and a cosine schedule, without noise handling.

    Published baselines on noisy web labels were often not tuned, so methods looked better than they
    are. This one has the schedule, augmentation and budget that every method gets.
    """

    backbone: str = assumed("resnet50", "the network that most WebVision results are given for")
    epochs: PositiveInt = assumed(75, "the budget of malong_curriculum's three tasks together")
    lr: float = assumed(0.1, "the usual value for SGD with momentum at batch 256")
    batch_size: PositiveInt = assumed(256, "as in malong_curriculum, so that budgets are equal")
    crops: Literal[1, 2, 5, 10] = assumed(10, "as malong_curriculum, so that protocols are equal")

    @hookimpl
    def plan(self) -> Plan:
        train = Stage(
            name="train",
            backbone=self.backbone,
            epochs=self.epochs,
            lr=self.lr,
            batch_size=self.batch_size,
        )
        return Plan(stages=(train,), testing=(MultiCrop(crops=self.crops),))
