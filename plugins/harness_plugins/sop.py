"""SOP (ICML 2022): sparse over-parameterisation, the noise of each label is learned."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from pydantic import PositiveFloat, PositiveInt

from harness import Plan, Stage, assumed, hookimpl, published
from harness.tricks.loss.sparse_over_parameterization import SparseOverParameterization
from harness.tricks.testing.crops import MultiCrop

README = "shengliu66/SOP, README.md: CIFAR-100, 50 % symmetric noise, batches of 128"
BASELINE = "as baseline, so that budgets are equal"


@dataclass(frozen=True, kw_only=True)
class Sop:
    """Train the network beside variables of each sample that explain its label's noise.

    **Source:** S. Liu et al., ICML 2022 (arXiv 2202.14026), without the consistency and balance
    terms of SOP+. Its rates differ by data set; none was found for WebVision in the code. Assumed:
    everything but the loss is as in baseline.
    """

    lr_u: PositiveFloat = published(1.0, README)
    lr_v: PositiveFloat = published(10.0, README)
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
            loss=(SparseOverParameterization(lr_u=self.lr_u, lr_v=self.lr_v),),
        )
        return Plan(stages=(train,), testing=(MultiCrop(crops=self.crops),))
