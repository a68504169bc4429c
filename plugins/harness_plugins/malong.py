"""Malong AI Research, WebVision 2017 (first place): curriculum learning by density clustering."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field, PositiveInt

from harness.hookspecs import hookimpl
from harness.knobs import assumed, published
from harness.samplers import SubsetBatches
from harness.samples import Samples
from harness.schedules import Part
from harness.spec import RunSpec
from harness.tricks.noise.density import DensitySubsets
from harness.tricks.noise.kmeans import KMeansSubsets
from harness.tricks.noise.subsets import KeepSubsets, WeighSubsets
from harness.tricks.testing.crops import MultiCrop
from harness.values import Plan, Stage, Trick

if TYPE_CHECKING:
    from torch.nn import Module

RESULTS = "Malong deck, 'Results: Single Model, 10 Crops'"
SCHEMES = "Malong deck, 'Methodology: Models with Different Training Schemes'"
Backbone = Literal["inception_v2", "inception_v3", "inception_v4", "inception_resnet_v2"]


@dataclass(frozen=True, kw_only=True)
class MalongCurriculum:
    """Train on everything, split each category by density, then retrain from clean to noisy.

    Model A trains on all data at once, B on the clean subset only, C adds the noisy one, D also a
    part of the highly noisy one. That C has two subsets and D three follows from Table 2: its rows
    of 0 % and 50 % are Table 1's C and D. Assumed: the tasks of a model are equally long and share
    one learning-rate schedule and the epochs of model A.
    """

    model: Literal["A", "B", "C", "D"] = published("D", RESULTS + ", Table 1: the best")
    highly_noisy_percent: Literal[0, 25, 50, 75, 100] = published(
        50, RESULTS + ", Table 2: the best"
    )
    backbone: Backbone = published("inception_v2", RESULTS + ", Table 1; the others: 3")
    clustering: Literal["density", "kmeans"] = published(
        "density", "Malong deck, 'Result: Testing Loss', Figure 1 compares it with K-means"
    )
    distance_quantile: Annotated[float, Field(ge=0, le=1)] = assumed(
        0.6, "the deck leaves d_c open; the team's published clustering code uses this percentile"
    )
    batch_counts: tuple[int, int, int] = published((128, 64, 64), SCHEMES)
    weights: tuple[float, float, float] = published(
        (1.0, 0.5, 0.5), "Malong deck, 'Methodology: Train with Curriculum Learning'"
    )
    stem: Literal["plain", "multi_scale"] = assumed(
        "plain", "the deck gives it about 0.5 %, but not which tables use it"
    )
    crops: Literal[1, 2, 5, 10] = published(10, RESULTS)
    epochs: PositiveInt = assumed(75, "not on the slides; the epochs of all tasks together")
    lr: float = assumed(0.1, "not on the slides; SGD as in baseline, so that budgets are equal")

    @property
    def subsets(self) -> int:
        """The number of subsets that are trained on: Table 2's row of 0 % is model C."""
        kept = "ABCD".index(self.model)
        return 2 if kept == 3 and not self.highly_noisy_percent else kept

    @hookimpl
    def plan(self, spec: RunSpec) -> Plan:
        initial = Stage(
            name="initial",
            backbone=self.backbone,
            epochs=self.epochs,
            lr=self.lr,
            batch_size=sum(self.batch_counts),
        )
        stages = [initial]
        for task in range(1, self.subsets + 1):
            begin, end = (task - 1) / self.subsets, task / self.subsets
            stages.append(
                replace(
                    initial,
                    name=f"task-{task}",
                    epochs=round(self.epochs * end) - round(self.epochs * begin),
                    schedule=Part(whole=initial.schedule, begin=begin, end=end),
                    sampler=self._batches(task),
                    start=stages[-1] if task > 1 else None,
                    sees=(initial,),
                    noise=self._subsets(initial, task, spec.seed),
                )
            )
        return Plan(stages=tuple(stages), testing=(MultiCrop(crops=self.crops),))

    def _batches(self, task: int) -> SubsetBatches:
        """Return the deck's shares for three subsets; equal halves for two are assumed."""
        counts: tuple[int, ...] = {1: (1,), 2: (1, 1)}.get(task, self.batch_counts)
        return SubsetBatches(counts=counts, class_balanced=(True, False, False)[:task])

    def _subsets(self, sees: Stage, task: int, seed: int) -> tuple[Trick[Samples], ...]:
        """Return tricks that split each category by features of ``sees``; keep, weigh subsets."""
        split: Trick[Samples] = DensitySubsets(
            sees=sees, quantile=self.distance_quantile, seed=seed
        )
        if self.clustering == "kmeans":
            split = KMeansSubsets(sees=sees, seed=seed)
        percent = self.highly_noisy_percent if task == 3 else 100
        keep = KeepSubsets(count=task, highly_noisy_share=percent / 100, seed=seed)
        return split, keep, WeighSubsets(weights=self.weights)

    @hookimpl
    def model_tricks(self) -> Sequence[Trick[Module]]:
        if self.stem == "plain":
            return []
        from harness.tricks.model.multi_scale_stem import MultiScaleStem

        return [MultiScaleStem()]
