"""SAM (ICLR 2021): sharpness-aware minimisation, weights around which the loss is flat."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from pydantic import PositiveFloat, PositiveInt

from harness import Plan, Stage, assumed, hookimpl, published
from harness.optimizers import Sam as SharpnessAware
from harness.tricks.testing.crops import MultiCrop

BASELINE = "as baseline, so that budgets are equal"


@dataclass(frozen=True, kw_only=True)
class Sam:
    """The baseline with gradients taken where the loss nearby is largest.

    **Source:** P. Foret et al., ICLR 2021 (arXiv 2010.01412), which reports it robust to noisy
    labels (table 4). A step costs two gradients: half of ``epochs`` is the equal cost. Assumed:
    everything but the optimiser is as in baseline.
    """

    rho: PositiveFloat = published(0.05, "paper, section 3.1: CIFAR and ImageNet")
    backbone: str = assumed("resnet50", BASELINE)
    epochs: PositiveInt = assumed(75, BASELINE)
    lr: PositiveFloat = assumed(0.1, BASELINE)
    batch_size: PositiveInt = assumed(256, BASELINE)
    crops: Literal[1, 2, 5, 10] = assumed(10, BASELINE)

    @hookimpl
    def plan(self) -> Plan:
        train = Stage(
            name="train",
            backbone=self.backbone,
            epochs=self.epochs,
            lr=self.lr,
            batch_size=self.batch_size,
            optimizer=SharpnessAware(rho=self.rho),
        )
        return Plan(stages=(train,), testing=(MultiCrop(crops=self.crops),))
