"""JoCoR (CVPR 2020): two networks with one joint loss that rewards agreement."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from pydantic import Field, PositiveFloat, PositiveInt

from harness import AdamW, AsBaseline, Plan, assumed, hookimpl, published
from harness.tricks.loss.joint_agreement import JointAgreement

CODE = "hongxin001/JoCoR, "


@dataclass(frozen=True, kw_only=True)
class JoCoR(AsBaseline):
    """H. Wei et al., "Combating Noisy Labels by Agreement", CVPR 2020: joint small-loss samples.

    Both networks see every picture, so a step costs twice as much as in baseline. They are tested
    as an ensemble; the paper tests them one by one. Adam is the paper's, for ``agreement`` leaves
    cross-entropy 1 - lambda of its gradient: Adam's steps do not shrink with it, SGD's do. Schedule
    and epochs are baseline's; the paper's rate falls from epoch 80 or 100 of 200 on, to 0.
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
    lr: PositiveFloat = published(0.001, CODE + "main.py: lr, of Adam")
    batch_size: PositiveInt = published(128, CODE + "main.py: batch_size")

    @hookimpl
    def plan(self) -> Plan:
        joint = JointAgreement(
            agreement=self.agreement, forget_rate=self.forget_rate, warmup=self.warmup
        )
        adam = AdamW(weight_decay=0.0)  # without decay there is no difference
        return self.plan_of(self.stage_with(optimizer=adam, networks=2, loss=(joint,)))
