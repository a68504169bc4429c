"""SSR+ (BMVC 2022): neighbours select, confidence relabels, views stay consistent."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import Field, NonNegativeFloat, PositiveFloat, PositiveInt

from harness import Plan, Sgd, Stage, assumed, hookimpl, published
from harness.samplers import ChosenAndAll
from harness.schedules import Steps
from harness.tricks.batch.mix_chosen import MixChosen
from harness.tricks.epoch.vote_of_neighbours import VoteOfNeighbours
from harness.tricks.loss.feature_consistency import FeatureConsistency
from harness.tricks.picture.rand_augment import RandAugment
from harness.tricks.testing.crops import MultiCrop

CODE = "MrChenFeng/SSR_BMVC2022, main_webvision.py: "


@dataclass(frozen=True, kw_only=True)
class Ssr:
    """C. Feng et al., "SSR", BMVC 2022: a vote of neighbours selects, sure predictions relabel.

    ``consistency`` 0 is SSR, above 0 SSR+. What differs from the paper: a step's batch is half
    chosen pictures, classes balanced, and half any, where the paper draws a batch of each; chosen
    pictures are mixed in one strong view, not two; RandAugment is the strong view, where the paper
    has AutoAugment; in the first epoch all pictures count as chosen, where the paper asks the
    neighbours of a random network. A step of SSR+ trains on three crops of each picture, and
    between epochs all pairs of pictures are compared: see ``VoteOfNeighbours`` for the cost.
    """

    relabel_above: Annotated[float, Field(ge=0, le=1)] = published(0.95, CODE + "theta_r")
    select_from: Annotated[float, Field(ge=0, le=1)] = published(1.0, CODE + "theta_s")
    neighbours: PositiveInt = published(200, CODE + "k")
    consistency: NonNegativeFloat = published(1.0, CODE + "lambda_fc")
    alpha: PositiveFloat = published(0.5, CODE + "np.random.beta(0.5, 0.5)")
    chosen: Annotated[float, Field(ge=0, le=1)] = assumed(
        0.5, "the paper draws two batches a step; half and half costs as many pictures as baseline"
    )
    backbone: str = assumed("resnet50", "as in baseline; the paper has inception_resnet_v2")
    epochs: PositiveInt = published(150, CODE + "epochs")
    lr: float = published(0.01, CODE + "lr; a tenth from epochs 50 and 100 on")
    batch_size: PositiveInt = published(32, CODE + "batch_size")
    weight_decay: NonNegativeFloat = published(1e-4, CODE + "SGD with momentum 0.9")
    crops: Literal[1, 2, 5, 10] = assumed(10, "as in baseline")

    @hookimpl
    def plan(self) -> Plan:
        from harness.tricks.model.projection import Projection  # imports torch

        plus = self.consistency > 0
        vote = VoteOfNeighbours(
            relabel_above=self.relabel_above,
            select_from=self.select_from,
            neighbours=self.neighbours,
        )
        heads = (Projection(size=256, hidden=256, norm=True, predictor=True),) if plus else ()
        train = Stage(
            name="train",
            backbone=self.backbone,
            epochs=self.epochs,
            lr=self.lr,
            batch_size=self.batch_size,
            schedule=Steps(milestones=(1 / 3, 2 / 3)),
            optimizer=Sgd(weight_decay=self.weight_decay, nesterov=False),
            sampler=ChosenAndAll(chosen=self.chosen),
            views=2,
            epoch=(vote,),
            model=heads,
            picture=(RandAugment(views=(1,)),),
            batch=(MixChosen(alpha=self.alpha, views=plus),),
            loss=(FeatureConsistency(strength=self.consistency),),
        )
        return Plan(stages=(train,), testing=(MultiCrop(crops=self.crops),))
