"""What methods share that differ from baseline only by their idea: its network and its budget."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from pydantic import PositiveFloat, PositiveInt

from harness.knobs import assumed
from harness.tricks.testing.crops import MultiCrop
from harness.values import Plan, Stage

WHY = "as in baseline, so that budgets are equal"


@dataclass(frozen=True, kw_only=True)
class AsBaseline:
    """The knobs of baseline's training and test; a method inherits them and adds its own."""

    backbone: str = assumed("resnet50", WHY)
    epochs: PositiveInt = assumed(75, WHY)
    lr: PositiveFloat = assumed(0.1, WHY)
    batch_size: PositiveInt = assumed(256, WHY)
    crops: Literal[1, 2, 5, 10] = assumed(10, WHY)

    def stage_with(self, name: str = "train", **idea: Any) -> Stage:
        """Return baseline's stage with further fields of ``Stage``."""
        return Stage(
            name=name,
            backbone=self.backbone,
            epochs=self.epochs,
            lr=self.lr,
            batch_size=self.batch_size,
            **idea,
        )

    def plan_of(self, *stages: Stage) -> Plan:
        """Return the plan of these stages, tested as baseline is."""
        return Plan(stages=stages, testing=(MultiCrop(crops=self.crops),))
