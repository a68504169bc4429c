"""MoPro (ICLR 2021): momentum prototypes correct labels and pull features together."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import Field, NonNegativeFloat, PositiveFloat, PositiveInt

from harness import Ema, Plan, Sgd, Stage, assumed, hookimpl, published
from harness.schedules import Steps
from harness.tricks.batch.momentum_view import MomentumView
from harness.tricks.loss.momentum_prototypes import MomentumPrototypes
from harness.tricks.picture.colour_jitter import ColourJitter
from harness.tricks.picture.random_grey import RandomGrey
from harness.tricks.testing.crops import MultiCrop

CODE = "salesforce/MoPro, train.py: "
Share = Annotated[float, Field(ge=0, le=1)]


@dataclass(frozen=True, kw_only=True)
class MoPro:
    """J. Li et al., "MoPro", ICLR 2021: prototypes of classes correct labels, drop outliers.

    The averaged weights are the momentum encoder and see a second view in other colours. What
    differs from the paper: they answer in evaluation mode, without shuffled batch norm; a picture's
    own older entries of the queue do not count against it; epochs at which something begins are
    shares of the stage. The paper's second step, which trains the classifier again on balanced
    corrected labels, is not here. The last weights are tested, as in the paper, and the averaged.
    """

    temperature: PositiveFloat = published(0.1, CODE + "temperature")
    threshold: Share = published(0.8, CODE + "pseudo_th")
    alpha: Share = published(0.5, CODE + "alpha")
    queue: PositiveInt = published(8192, CODE + "moco_queue")
    momentum: Annotated[float, Field(gt=0, lt=1)] = published(0.999, CODE + "moco_m and proto_m")
    prototype: NonNegativeFloat = published(1.0, CODE + "w-proto")
    instance: NonNegativeFloat = published(1.0, CODE + "w-inst")
    clean_from: Share = published(11 / 90, CODE + "start_clean_epoch 11 of 90 epochs")
    embedding: PositiveInt = published(128, CODE + "low-dim")
    hidden: PositiveInt = published(2048, "salesforce/MoPro, resnet.py: fc1")
    backbone: str = published("resnet50", CODE + "arch")
    epochs: PositiveInt = published(90, CODE + "epochs")
    lr: float = published(0.1, CODE + "lr; a tenth from epochs 40 and 80 on")
    batch_size: PositiveInt = published(256, CODE + "batch-size")
    weight_decay: NonNegativeFloat = published(1e-4, CODE + "wd; SGD with momentum 0.9")
    crops: Literal[1, 2, 5, 10] = assumed(10, "as baseline")

    @hookimpl
    def plan(self) -> Plan:
        from harness.tricks.model.projection import Projection  # imports torch

        loss = MomentumPrototypes(
            size=self.embedding,
            temperature=self.temperature,
            threshold=self.threshold,
            alpha=self.alpha,
            queue=self.queue,
            momentum=self.momentum,
            prototype=self.prototype,
            instance=self.instance,
            clean_from=self.clean_from,
        )
        colours = ColourJitter(hue=0.4, probability=1.0, views=(1,))
        train = Stage(
            name="train",
            backbone=self.backbone,
            epochs=self.epochs,
            lr=self.lr,
            batch_size=self.batch_size,
            schedule=Steps(milestones=(40 / 90, 80 / 90)),
            optimizer=Sgd(weight_decay=self.weight_decay, nesterov=False),
            min_crop_area=0.2,
            views=2,
            average=Ema(decay=self.momentum, warmup=False),
            model=(Projection(size=self.embedding, hidden=self.hidden),),
            picture=(RandomGrey(views=(1,)), colours),
            batch=(MomentumView(),),
            loss=(loss,),
        )
        return Plan(stages=(train,), testing=(MultiCrop(crops=self.crops),))
