"""SOP and SOP+ (ICML 2022): sparse over-parameterisation, the noise of each label is learned."""

from __future__ import annotations

from dataclasses import dataclass

from pydantic import NonNegativeFloat, PositiveFloat, PositiveInt

from harness import AsBaseline, Plan, assumed, hookimpl, published
from harness.tricks.batch.both_views import BothViews
from harness.tricks.loss.sparse_over_parameterization import SparseOverParameterization
from harness.tricks.picture.rand_augment import RandAugment

README = "shengliu66/SOP, README.md: CIFAR-100, 50 % symmetric noise, batches of 128"
CONFIG = "shengliu66/SOP, config_cifar100.json: "


@dataclass(frozen=True, kw_only=True)
class Sop(AsBaseline):
    """Train the network beside variables of each sample that explain its label's noise.

    ``plus`` is SOP+: predictions of a second view, changed more, shall agree with those of the
    first, and all classes shall be as likely in the mean of a batch. It trains on two views of each
    picture, about twice the cost.

    **Source:** S. Liu et al., ICML 2022 (arXiv 2202.14026). Its rates differ by data set: 0.1 and
    100 for CIFAR-100 with 40 % asymmetric noise (README); none was found for WebVision in the code.
    SOP+ there is PreAct ResNet-18, 300 epochs, rate 0.02 with a cosine, decay 1e-3. Assumed: all of
    that as in baseline.
    """

    lr_u: PositiveFloat = published(1.0, README)
    lr_v: PositiveFloat = published(10.0, README)
    plus: bool = assumed(False, "SOP alone shows what its variables do")  # noqa: FBT003
    consistency: NonNegativeFloat = published(0.9, CONFIG + "ratio_consistency, of SOP+")
    balance: NonNegativeFloat = published(0.1, CONFIG + "ratio_balance, of SOP+")
    operations: PositiveInt = assumed(
        2, "RandAugment on the second view; the code has CIFAR's AutoAugment and Cutout"
    )

    @hookimpl
    def plan(self) -> Plan:
        if not self.plus:
            loss = SparseOverParameterization(lr_u=self.lr_u, lr_v=self.lr_v)
            return self.plan_of(self.stage_with(loss=(loss,)))
        loss = SparseOverParameterization(
            lr_u=self.lr_u, lr_v=self.lr_v, consistency=self.consistency, balance=self.balance
        )
        train = self.stage_with(
            views=2,
            picture=(RandAugment(count=self.operations, views=(1,)),),
            batch=(BothViews(),),
            loss=(loss,),
        )
        return self.plan_of(train)
