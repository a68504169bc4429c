"""DivideMix (ICLR 2020): two networks, losses divided by a mixture, semi-supervised learning."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import Field, NonNegativeFloat, PositiveFloat, PositiveInt

from harness import Plan, Sgd, Stage, assumed, hookimpl, published
from harness.schedules import Steps
from harness.tricks.batch.mix_match import MixMatch
from harness.tricks.epoch.divide_by_loss import DivideByLoss
from harness.tricks.loss.semi_supervised import SemiSupervised
from harness.tricks.testing.crops import MultiCrop

CODE = "LiJunnan1992/DivideMix, Train_webvision.py: "


@dataclass(frozen=True, kw_only=True)
class DivideMix:
    """J. Li et al., "DivideMix", ICLR 2020: labels divided by their loss, MixMatch on both parts.

    After each epoch a mixture of the losses of one network tells the other one which labels to
    trust. What differs from the paper: both networks take a step on the same pictures, each with
    its own division, where the paper trains them in turn on batches that are half labelled, half
    unlabelled; here their ratio is the natural one, and an epoch draws as many pictures as
    baseline's. Losses are of the centre view. Each step of each network trains on two mixed crops
    of every picture and asks both networks about two more: about six times baseline's cost.

    One epoch of warm-up is about 1,000 steps of mini-WebVision. Where an epoch is much shorter, the
    losses after it say nothing of labels and the first divisions are random: raise ``warmup``.
    """

    threshold: Annotated[float, Field(ge=0, lt=1)] = published(0.5, CODE + "p_threshold")
    temperature: PositiveFloat = published(0.5, CODE + "T")
    alpha: PositiveFloat = published(0.5, CODE + "alpha")
    unlabelled: NonNegativeFloat = published(0.0, CODE + "lambda_u")
    balance: NonNegativeFloat = published(1.0, "the paper, section 4.2: lambda_r is 1")
    warmup: PositiveInt = published(1, CODE + "warm_up, epochs")
    backbone: str = assumed("resnet50", "as in baseline; the paper has inception_resnet_v2")
    epochs: PositiveInt = published(81, CODE + "range(num_epochs + 1), num_epochs 80")
    lr: float = published(0.01, CODE + "lr; a tenth from epoch 40 on")
    batch_size: PositiveInt = published(32, CODE + "batch_size; 64 in the warm-up")
    weight_decay: NonNegativeFloat = published(5e-4, CODE + "SGD with momentum 0.9")
    crops: Literal[1, 2, 5, 10] = assumed(10, "as in baseline")

    @hookimpl
    def plan(self) -> Plan:
        mix = MixMatch(temperature=self.temperature, alpha=self.alpha, warmup=self.warmup)
        loss = SemiSupervised(unlabelled=self.unlabelled, balance=self.balance, warmup=self.warmup)
        train = Stage(
            name="train",
            backbone=self.backbone,
            epochs=self.epochs,
            lr=self.lr,
            batch_size=self.batch_size,
            schedule=Steps(milestones=(40 / 81,)),
            optimizer=Sgd(weight_decay=self.weight_decay, nesterov=False),
            networks=2,
            views=2,
            epoch=(DivideByLoss(threshold=self.threshold, warmup=self.warmup),),
            batch=(mix,),
            loss=(loss,),
        )
        return Plan(stages=(train,), testing=(MultiCrop(crops=self.crops),))
