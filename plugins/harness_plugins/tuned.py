"""A tuned baseline (arXiv 2307.05025): cross-entropy with what good practice adds to it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import Field, NonNegativeFloat

from harness import AsBaseline, Ema, Plan, Sgd, Swa, assumed, hookimpl, published
from harness.averages import Average
from harness.tricks.batch.label_smoothing import SmoothLabels
from harness.tricks.batch.mixup import MixUp
from harness.tricks.picture.rand_augment import RandAugment


@dataclass(frozen=True, kw_only=True)
class Tuned(AsBaseline):
    """Cross-entropy with learning-rate decay, averaged weights, augmentation, mixup, smoothing.

    Plain cross-entropy with decay, averaging and augmentation is claimed to reach the state of the
    art on noisy labels, so a board without it flatters every method. None of its values is tuned
    here. Of the averaged weights the record has a score of its own, the epoch "averaged".

    **Source:** the claim is that of arXiv 2307.05025, of which only the abstract was read: its
    values are not known here. Mixup and smoothing are our addition; 0 turns each off.
    """

    average: Literal["swa", "ema", "none"] = assumed(
        "swa", "a share of the steps, so it means the same in a shrunk recipe"
    )
    augmentation: Annotated[float, Field(ge=0, le=30)] = published(
        9.0, "RandAugment, NeurIPS 2020: magnitude for ResNet-50 on ImageNet"
    )
    mixup_alpha: NonNegativeFloat = assumed(0.2, "the usual value for ImageNet, as in pci")
    smoothing: Annotated[float, Field(ge=0, lt=1)] = assumed(0.1, "the usual value, as in pci")
    weight_decay: NonNegativeFloat = assumed(
        5e-4, "what DivideMix and ELR+ use on mini-WebVision; baseline has 1e-4"
    )

    @hookimpl
    def plan(self) -> Plan:
        averages: dict[str, Average | None] = {"swa": Swa(), "ema": Ema(), "none": None}
        mixup = (MixUp(alpha=self.mixup_alpha),) if self.mixup_alpha else ()
        smooth = (SmoothLabels(smoothing=self.smoothing),) if self.smoothing else ()
        augment = (RandAugment(magnitude=self.augmentation),) if self.augmentation else ()
        train = self.stage_with(
            optimizer=Sgd(weight_decay=self.weight_decay),
            average=averages[self.average],
            picture=augment,
            batch=(*mixup, *smooth),
        )
        return self.plan_of(train)
