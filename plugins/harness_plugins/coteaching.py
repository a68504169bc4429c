"""Co-teaching (NeurIPS 2018): two networks, each taught by what the other one finds easy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from pydantic import Field, PositiveInt

from harness import AsBaseline, Plan, assumed, hookimpl, published
from harness.tricks.loss.co_teaching import CoTeaching

PAPER = "B. Han et al., 'Co-teaching', NeurIPS 2018, "


@dataclass(frozen=True, kw_only=True)
class Coteaching(AsBaseline):
    """B. Han et al., "Co-teaching", NeurIPS 2018: small-loss samples exchanged by two networks.

    Both networks see every picture, so a step costs twice as much as in baseline. They are tested
    as an ensemble; the paper tests them one by one and takes the mean of their accuracies. Adam and
    nine convolutions at 32 pixels are the paper's; here optimiser, schedule and budget are
    baseline's.
    """

    forget_rate: Annotated[float, Field(ge=0, lt=1)] = assumed(
        0.2, "tau is the noise rate, which nobody knows; the default of bhanML/Co-teaching main.py"
    )
    warmup: Annotated[float, Field(ge=0, le=1)] = published(
        10 / 200, PAPER + "section 4: T_k = 10 of T_max = 200 epochs, as a share of the stage"
    )
    batch_size: PositiveInt = assumed(256, "as in baseline; the paper has 128")

    @hookimpl
    def plan(self) -> Plan:
        train = self.stage_with(
            networks=2,
            loss=(CoTeaching(forget_rate=self.forget_rate, warmup=self.warmup),),
        )
        return self.plan_of(train)
