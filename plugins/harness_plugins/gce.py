"""GCE (NeurIPS 2018): generalised cross-entropy, labels that look unlikely count less."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import Field, PositiveFloat, PositiveInt

from harness import Plan, Stage, assumed, hookimpl, published
from harness.tricks.loss.generalized_cross_entropy import GeneralizedCrossEntropy
from harness.tricks.testing.crops import MultiCrop

BASELINE = "as baseline, so that budgets are equal"


@dataclass(frozen=True, kw_only=True)
class Gce:
    """Train with the loss sum_k t_k (1 - p_k ** q) / q in place of cross-entropy.

    **Source:** Z. Zhang and M. Sabuncu, NeurIPS 2018 (arXiv 1805.07836), without its truncation.
    Assumed: everything but the loss is as in baseline.
    """

    q: Annotated[float, Field(gt=0, le=1)] = published(
        0.7, "paper, experiments; HanxunH/Active-Passive-Losses, configs/webvision_mini/gce.yaml"
    )
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
            loss=(GeneralizedCrossEntropy(q=self.q),),
        )
        return Plan(stages=(train,), testing=(MultiCrop(crops=self.crops),))
