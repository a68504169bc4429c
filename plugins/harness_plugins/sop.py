"""SOP (ICML 2022): sparse over-parameterisation, the noise of each label is learned."""

from __future__ import annotations

from dataclasses import dataclass

from pydantic import PositiveFloat

from harness import AsBaseline, Plan, hookimpl, published
from harness.tricks.loss.sparse_over_parameterization import SparseOverParameterization

README = "shengliu66/SOP, README.md: CIFAR-100, 50 % symmetric noise, batches of 128"


@dataclass(frozen=True, kw_only=True)
class Sop(AsBaseline):
    """Train the network beside variables of each sample that explain its label's noise.

    **Source:** S. Liu et al., ICML 2022 (arXiv 2202.14026), without the consistency and balance
    terms of SOP+. Its rates differ by data set; none was found for WebVision in the code. Assumed:
    everything but the loss is as in baseline.
    """

    lr_u: PositiveFloat = published(1.0, README)
    lr_v: PositiveFloat = published(10.0, README)

    @hookimpl
    def plan(self) -> Plan:
        return self.plan_of(
            self.stage_with(loss=(SparseOverParameterization(lr_u=self.lr_u, lr_v=self.lr_v),))
        )
