"""SCE (ICCV 2019): symmetric cross-entropy, which also lets labels answer for predictions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from pydantic import Field, NonNegativeFloat, PositiveFloat

from harness import AsBaseline, Plan, hookimpl, published
from harness.tricks.loss.symmetric_cross_entropy import SymmetricCrossEntropy

YAML = "HanxunH/Active-Passive-Losses, configs/webvision_mini/sce.yaml"


@dataclass(frozen=True, kw_only=True)
class Sce(AsBaseline):
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

    @hookimpl
    def plan(self) -> Plan:
        train = self.stage_with(
            clip_norm=self.clip_norm,
            loss=(SymmetricCrossEntropy(alpha=self.alpha, beta=self.beta, log_zero=self.log_zero),),
        )
        return self.plan_of(train)
