"""JoCoR (CVPR 2020): two networks with one joint loss that rewards agreement."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from pydantic import Field, PositiveInt

from harness import AsBaseline, Plan, assumed, hookimpl, published
from harness.tricks.loss.joint_agreement import JointAgreement

CODE = "hongxin001/JoCoR, "


@dataclass(frozen=True, kw_only=True)
class JoCoR(AsBaseline):
    """H. Wei et al., "Combating Noisy Labels by Agreement", CVPR 2020: joint small-loss samples.

    Both networks see every picture, so a step costs twice as much as in baseline. They are tested
    as an ensemble; the paper tests them one by one. Optimiser, schedule and budget are baseline's;
    the paper's are Adam's.
    """

    agreement: Annotated[float, Field(ge=0, le=1)] = published(
        0.85, CODE + "README: the best lambda for CIFAR-100; between 0.5 and 0.9 in general"
    )
    forget_rate: Annotated[float, Field(ge=0, lt=1)] = assumed(
        0.2, "tau is the noise rate, which nobody knows; the default noise rate of its main.py"
    )
    warmup: Annotated[float, Field(ge=0, le=1)] = published(
        10 / 200, CODE + "main.py: num_gradual 10 of n_epoch 200, as a share of the stage"
    )
    batch_size: PositiveInt = assumed(256, "as baseline; the paper has 128")

    @hookimpl
    def plan(self) -> Plan:
        joint = JointAgreement(
            agreement=self.agreement, forget_rate=self.forget_rate, warmup=self.warmup
        )
        train = self.stage_with(
            networks=2,
            loss=(joint,),
        )
        return self.plan_of(train)
