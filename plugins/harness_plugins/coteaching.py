"""Co-teaching (NeurIPS 2018): two networks, each taught by what the other one finds easy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import Field, PositiveInt

from harness import Plan, Stage, assumed, hookimpl, published
from harness.tricks.loss.co_teaching import CoTeaching
from harness.tricks.testing.crops import MultiCrop

PAPER = "B. Han et al., 'Co-teaching', NeurIPS 2018, "


@dataclass(frozen=True, kw_only=True)
class Coteaching:
    """B. Han et al., "Co-teaching", NeurIPS 2018: small-loss samples exchanged by two networks.

    Both networks see every picture, so a step costs twice as much as in baseline. They are tested
    as an ensemble; the paper tests them one by one and takes the mean of their accuracies. Adam and
    nine convolutions at 32 pixels are the paper's; here optimiser, schedule and budget are
    baseline's.
    """

    forget_rate: Annotated[float, Field(ge=0, lt=1)] = assumed(
        0.2, "tau is the noise rate, which nobody knows; the default of bhanML/Co-teaching main.py"
    )
    warmup: Annotated[float, Field(ge=0, le=1)] = published(
        10 / 200, PAPER + "section 4: T_k = 10 of T_max = 200 epochs, as a share of the stage"
    )
    backbone: str = assumed("resnet50", "as baseline")
    epochs: PositiveInt = assumed(75, "as baseline, so that the pictures drawn are equal")
    lr: float = assumed(0.1, "as baseline")
    batch_size: PositiveInt = assumed(256, "as baseline; the paper has 128")
    crops: Literal[1, 2, 5, 10] = assumed(10, "as baseline")

    @hookimpl
    def plan(self) -> Plan:
        train = Stage(
            name="train",
            backbone=self.backbone,
            epochs=self.epochs,
            lr=self.lr,
            batch_size=self.batch_size,
            networks=2,
            loss=(CoTeaching(forget_rate=self.forget_rate, warmup=self.warmup),),
        )
        return Plan(stages=(train,), testing=(MultiCrop(crops=self.crops),))
