"""MoPro (ICLR 2021): momentum prototypes correct labels and pull features together."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import Field, NonNegativeFloat, PositiveFloat, PositiveInt

from harness import Ema, Groups, Plan, Sgd, Stage, assumed, hookimpl, published
from harness.samplers import SquareRoot
from harness.schedules import Steps
from harness.tricks.batch.momentum_view import MomentumView
from harness.tricks.loss.momentum_prototypes import MomentumPrototypes
from harness.tricks.noise.correct_labels import CorrectLabels
from harness.tricks.picture.colour_jitter import ColourJitter
from harness.tricks.picture.random_grey import RandomGrey
from harness.tricks.testing.crops import MultiCrop

CODE = "salesforce/MoPro, train.py: "
AGAIN = "salesforce/MoPro, classifier_retrain.py: "
Share = Annotated[float, Field(ge=0, le=1)]


@dataclass(frozen=True, kw_only=True)
class MoPro:
    """J. Li et al., "MoPro", ICLR 2021: prototypes of classes correct labels, drop outliers.

    The averaged weights are the momentum encoder and see a second view in other colours. What
    differs from the paper: batch norm is not shuffled over ranks; a picture's own older entries of
    the queue do not count against it; epochs at which something begins are shares of the stage.
    The last weights are tested, as in the paper, not the momentum encoder: after s steps 0.999^s of
    that are still the random start, 0.55 after the 600 of a small data set. Prototypes and labels
    are made by the network itself and do not depend on it.

    ``retrain`` adds the paper's second step: the classifier alone is trained again, on labels that
    the first step corrects, with classes drawn in proportion to the square root of their size. A
    finished stage keeps no prototypes, so the classifier corrects them alone.
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
    retrain: bool = assumed(False, "a script of its own in the code, beyond the 90 epochs")  # noqa: FBT003
    retrain_epochs: PositiveInt = published(16, AGAIN + "range(epochs + 1), epochs 15")
    retrain_lr: float = published(0.01, AGAIN + "lr; a tenth from epochs 5 and 10 on")
    crops: Literal[1, 2, 5, 10] = assumed(10, "as in baseline")

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
            average=Ema(decay=self.momentum, warmup=False, tested=False),
            model=(Projection(size=self.embedding, hidden=self.hidden),),
            picture=(RandomGrey(views=(1,)), colours),
            batch=(MomentumView(),),
            loss=(loss,),
        )
        stages = (train, self._again(train)) if self.retrain else (train,)
        return Plan(stages=stages, testing=(MultiCrop(crops=self.crops),))

    def _again(self, train: Stage) -> Stage:
        """Return the stage that trains the classifier again."""
        return Stage(
            name="retrain",
            backbone=self.backbone,
            epochs=self.retrain_epochs,
            lr=self.retrain_lr,
            batch_size=self.batch_size,
            schedule=Steps(milestones=(5 / 16, 10 / 16)),
            optimizer=Sgd(weight_decay=0.0, nesterov=False),
            groups=Groups(trained="head"),
            sampler=SquareRoot(),
            min_crop_area=0.2,
            start=train,
            sees=(train,),
            noise=(CorrectLabels(sees=(train,), threshold=self.threshold),),
            model=train.model,
        )
