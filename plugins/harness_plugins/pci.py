"""PCI, WebVision 2020 (third place): reweight classes, then images by what a network learned."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Annotated, Literal, get_args

from pydantic import Field, PositiveFloat, PositiveInt

from harness.hookspecs import hookimpl
from harness.knobs import assumed, published
from harness.schedules import Steps, WarmupCosine
from harness.tricks.batch.label_smoothing import SmoothLabels
from harness.tricks.batch.mixup import MixUp
from harness.tricks.noise.class_weights import ReweightClasses
from harness.tricks.noise.image_weights import WeighByModel
from harness.tricks.testing.crops import MultiCrop
from harness.tricks.testing.multi_scale import MultiScale
from harness.values import Plan, Stage

RESULTS = "PCI deck, 'Experiment Results'"
TECHNIQUES = "PCI deck, 'Solution Techniques'"
Backbone = Literal["resnet101", "resnet152", "resnext101_32x4d", "resnest101e"]
NETWORKS: tuple[Backbone, ...] = get_args(Backbone)
TENTHS = Steps(milestones=(0.3, 0.6, 0.9))


@dataclass(frozen=True, kw_only=True)
class Pci:
    """Train, weigh every image by the trained network, train again on the cleaner data.

    Row A is the plain network, B1 adds the training strategies, B2 class weights, C image weights
    and retraining. The letters are read as one recipe for every network, though B2 is not printed
    for ResNeXt and ResNeSt. Assumed: row A, without warm-up and cosine, has the steps of the
    challenge's benchmark (a tenth after 30, 60 and 90 of 100 epochs); the ensemble is the mean of
    the four networks' probabilities. Its networks have different random draws, so that they differ
    even if a profile gives them one backbone; single networks have one draw and can be compared.
    """

    row: Literal["A", "B1", "B2", "C"] = published("C", RESULTS + " 1/2 and 2/2: the best")
    backbone: Backbone = published(
        "resnet101", RESULTS + " 1/2; which ResNeXt-101 and ResNeSt-101 is not on the slides"
    )
    ensemble: Literal["single", "four_networks"] = published(
        "single", RESULTS + ": each table is of one network, 'final' is the ensemble"
    )
    rounds: PositiveInt = assumed(1, "'Solution alternative process' gives no number of rounds")
    retrain: Literal["scratch", "weights"] = assumed(
        "scratch", "not on the slides; B2 and C then differ only in the image weights"
    )
    floor: Annotated[float, Field(gt=0, le=1)] = assumed(
        0.1, "no formula on the slides; every image counts, at most tenfold"
    )
    mixup_alpha: PositiveFloat = assumed(0.2, "not on the slides; the usual value for ImageNet")
    smoothing: Annotated[float, Field(ge=0, lt=1)] = assumed(
        0.1, "not on the slides; the usual value for ImageNet"
    )
    batch_size: PositiveInt = assumed(1024, "'Large batch training' has no number on the slide")
    lr: float = assumed(0.1, "for 256 images, as in baseline; proportional to the batch size")
    warmup: float = assumed(0.05, "the curve on the slide has no scale; as in baseline")
    precision: Literal["fp16", "bf16", "fp32"] = published("fp16", TECHNIQUES + " 1/4")
    epochs: PositiveInt = assumed(
        75, "not on the slides; as in baseline, so that budgets are equal"
    )
    crops: Literal[1, 2, 5, 10] = assumed(10, "'Multi-crop test' has no number; as in baseline")
    scales: tuple[float, ...] = assumed(
        (1.0, 8 / 7, 9 / 7), "'Multi-scale test' has no sizes: 224, 256, 288; for the ensemble"
    )

    @hookimpl
    def plan(self) -> Plan:
        networks = NETWORKS if self.ensemble == "four_networks" else (self.backbone,)
        rows = [self._row(network) for network in networks]
        scales = (MultiScale(scales=self.scales),) if self.ensemble == "four_networks" else ()
        return Plan(
            stages=tuple(stage for row in rows for stage in row),
            members=tuple(row[-1] for row in rows),
            testing=(*scales, MultiCrop(crops=self.crops)),
        )

    def _row(self, network: Backbone) -> list[Stage]:
        """Return the stages of one row of a table, the reported one last."""
        plain = Stage(
            name=f"{network}-train",
            backbone=network,
            epochs=self.epochs,
            lr=self.lr,
            schedule=TENTHS,
            draw=NETWORKS.index(network) if self.ensemble == "four_networks" else 0,
        )
        if self.row == "A":
            return [plain]
        train = replace(
            plain,
            batch_size=self.batch_size,
            lr=self.lr * self.batch_size / 256,
            schedule=WarmupCosine(warmup=self.warmup),
            precision=self.precision,
            noise=() if self.row == "B1" else (ReweightClasses(),),
            batch=(MixUp(alpha=self.mixup_alpha), SmoothLabels(smoothing=self.smoothing)),
        )
        stages = [train]
        for number in range(1, self.rounds + 1 if self.row == "C" else 1):
            before = stages[-1]
            again = replace(
                train,
                name=f"{network}-retrain-{number}",
                start=before if self.retrain == "weights" else None,
                sees=(before,),
                noise=(*train.noise, WeighByModel(sees=before, floor=self.floor)),
            )
            stages.append(again)
        return stages
