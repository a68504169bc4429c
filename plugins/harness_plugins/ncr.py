"""NCR (CVPR 2022): neighbour consistency, similar features get similar predictions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import Field, NonNegativeFloat, PositiveFloat, PositiveInt

from harness import AsBaseline, Plan, hookimpl, published
from harness.tricks.batch.mixup import MixUp
from harness.tricks.loss.neighbour_consistency import NeighbourConsistency

CONFIG = "google-research/scenic, projects/ncr/configs/mini_imagenet_red_ncr_train40.py"


@dataclass(frozen=True, kw_only=True)
class Ncr(AsBaseline):
    """Add the divergence of each prediction from those of its neighbours in the batch.

    **Source:** A. Iscen et al., CVPR 2022 (arXiv 2202.02200). The values are those of 40 % web
    noise on mini-ImageNet, where the classifier is linear. Later papers say (copied) weight 0.9, a
    cosine classifier and batches of 1,024 for mini-WebVision: ``weight=0.9 classifier=cosine
    batch_size=1024``. Assumed: all else is as in baseline.
    """

    weight: Annotated[float, Field(ge=0, le=1)] = published(0.3, CONFIG + ": loss_weight")
    neighbours: PositiveInt = published(100, CONFIG + ": of a batch of 128")
    temperature: PositiveFloat = published(2.0, CONFIG)
    start: Annotated[float, Field(ge=0, lt=1)] = published(
        10 / 130, CONFIG + ": starting_epoch 10 of 130"
    )
    classifier: Literal["linear", "cosine"] = published(
        "linear", "google-research/scenic, projects/ncr/resnet.py: output_projection"
    )
    mixup_alpha: NonNegativeFloat = published(0.0, CONFIG + ": off; 0.5 turns it on")

    @hookimpl
    def plan(self) -> Plan:
        from harness.tricks.model.cosine_classifier import CosineClassifier  # imports torch
        from harness.tricks.model.with_features import WithFeatures

        consistency = NeighbourConsistency(
            weight=self.weight,
            count=self.neighbours,
            temperature=self.temperature,
            start=self.start,
        )
        train = self.stage_with(
            model=(*((CosineClassifier(),) if self.classifier == "cosine" else ()), WithFeatures()),
            batch=(MixUp(alpha=self.mixup_alpha),) if self.mixup_alpha else (),
            loss=(consistency,),
        )
        return self.plan_of(train)
