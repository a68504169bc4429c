"""SCE (ICCV 2019): symmetric cross-entropy, which also lets labels answer for predictions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import Field, NonNegativeFloat, PositiveFloat, PositiveInt

from harness import Plan, Stage, assumed, hookimpl, published
from harness.tricks.loss.symmetric_cross_entropy import SymmetricCrossEntropy
from harness.tricks.testing.crops import MultiCrop

YAML = "HanxunH/Active-Passive-Losses, configs/webvision_mini/sce.yaml"
BASELINE = "as baseline, so that budgets are equal"


@dataclass(frozen=True, kw_only=True)
class Sce:
    """Train with alpha times cross-entropy plus beta times reverse cross-entropy.

    **Source:** Y. Wang et al., ICCV 2019 (arXiv 1908.06112). Its own alpha and beta are chosen for
    each data set; those here were chosen for mini-WebVision by a later paper's authors, with
    clipped gradients (norm 5), batches of 512 and log 0 about -9.2. The loss is about alpha times
    as large as cross-entropy, and so is the step. Assumed: all but the loss is as in baseline.
    """

    alpha: NonNegativeFloat = published(10.0, YAML)
    beta: NonNegativeFloat = published(1.0, YAML)
    log_zero: Annotated[float, Field(lt=0)] = published(-4.0, "paper, section 3.3: A")
    clip_norm: PositiveFloat = published(5.0, YAML + ": grad_bound")
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
            clip_norm=self.clip_norm,
            loss=(SymmetricCrossEntropy(alpha=self.alpha, beta=self.beta, log_zero=self.log_zero),),
        )
        return Plan(stages=(train,), testing=(MultiCrop(crops=self.crops),))
