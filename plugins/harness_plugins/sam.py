"""SAM (ICLR 2021): sharpness-aware minimisation, weights around which the loss is flat."""

from __future__ import annotations

from dataclasses import dataclass

from pydantic import PositiveFloat

from harness import AsBaseline, Plan, hookimpl, published
from harness.optimizers import Sam as SharpnessAware


@dataclass(frozen=True, kw_only=True)
class Sam(AsBaseline):
    """The baseline with gradients taken where the loss nearby is largest.

    **Source:** P. Foret et al., ICLR 2021 (arXiv 2010.01412), which reports it robust to noisy
    labels (table 4). A step costs two gradients: half of ``epochs`` is the equal cost. Assumed:
    everything but the optimiser is as in baseline.
    """

    rho: PositiveFloat = published(0.05, "paper, section 3.1: CIFAR and ImageNet")

    @hookimpl
    def plan(self) -> Plan:
        return self.plan_of(self.stage_with(optimizer=SharpnessAware(rho=self.rho)))
