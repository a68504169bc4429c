"""GCE (NeurIPS 2018): generalised cross-entropy, labels that look unlikely count less."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from pydantic import Field

from harness import AsBaseline, Plan, hookimpl, published
from harness.tricks.loss.generalized_cross_entropy import GeneralizedCrossEntropy


@dataclass(frozen=True, kw_only=True)
class Gce(AsBaseline):
    """Train with the loss sum_k t_k (1 - p_k ** q) / q in place of cross-entropy.

    **Source:** Z. Zhang and M. Sabuncu, NeurIPS 2018 (arXiv 1805.07836), without its truncation.
    The yaml's recipe for mini-WebVision is ResNet-50, rate 0.4 times 0.97 an epoch, batches of 512,
    decay 3e-5, gradients clipped at 5, 250 epochs. A sample's gradient is cross-entropy's times
    p ** q, small in all of the first epochs. Assumed: everything but the loss is as in baseline.
    """

    q: Annotated[float, Field(gt=0, le=1)] = published(
        0.7, "paper, experiments; HanxunH/Active-Passive-Losses, configs/webvision_mini/gce.yaml"
    )

    @hookimpl
    def plan(self) -> Plan:
        return self.plan_of(self.stage_with(loss=(GeneralizedCrossEntropy(q=self.q),)))
