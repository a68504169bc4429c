"""Huawei Cloud, WebVision 2019 (third place): a bag of tricks on one shared baseline."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import Annotated, Literal

from pydantic import Field

from harness.hookspecs import hookimpl
from harness.knobs import assumed, published
from harness.plans import each_once, in_tasks
from harness.samplers import ClassBalanced
from harness.samples import Samples
from harness.spec import RunSpec
from harness.tricks.loss.distil import Distil
from harness.tricks.noise.class_weights import ReweightClasses
from harness.tricks.noise.confused_clusters import USES, ConfusedClusters
from harness.tricks.noise.density import DensitySubsets
from harness.tricks.noise.keyword_match import KeywordMatch
from harness.tricks.noise.semantic_match import SemanticMatch
from harness.tricks.noise.subsets import KeepSubsets, WeighSubsets
from harness.tricks.noise.top_ranked import KeepTopRanked
from harness.tricks.testing.crops import MultiCrop
from harness.values import Plan, Stage, Trick

Noise = Literal[
    "none", "reweight_class", "top_ranked", "kmeans_large", "kmeans_compact", "kmeans_size",
    "kmeans_distance", "density_clean", "density_curriculum", "density_weight", "semantic_only",
    "semantic", "keywords",
]  # fmt: skip
Backbone = Literal["resnet50", "seresnet50", "resnet152", "resnet200", "resnext101_32x4d"]
TAUGHT: dict[str, list[Noise]] = {"none": [], "baseline": ["none"], "top_ranked": ["top_ranked"]}


@dataclass(frozen=True, kw_only=True)
class Huawei:
    """Handle noise by the features of one baseline, distil, and test several networks together.

    Every row of the tables is one network, trained from scratch. Assumed: the curriculum adds one
    density subset at a time, in equal parts of one schedule; an ensemble has the ``members`` and
    the network of ``noise``; with ``distil`` "ensemble" the members are its teachers.
    """

    noise: Noise = published("semantic", "Huawei deck, 'Summary of result ...': the best, 75.35")
    backbone: Backbone = published("resnet50", "Huawei deck, 'Model architecture': the baseline")
    distil: Literal["none", "baseline", "top_ranked", "ensemble"] = published(
        "none", "Huawei deck, 'Model distillation': the row that others are compared with"
    )
    ensemble: Literal["none", "vote", "mean", "vote_mean_logits", "learned"] = published(
        "none", "Huawei deck: every table but 'Results of ensemble' is of single models"
    )
    members: Annotated[tuple[Noise, ...], Field(min_length=1)] = assumed(
        ("reweight_class", "top_ranked", "kmeans_distance", "density_weight", "semantic"),
        "the deck names none; the best row of each idea, all of one backbone",
    )
    reweight: Literal["on", "off"] = assumed(
        "on", "the deck leaves open if rows on noise also reweight classes; the best exceed 74.4"
    )
    encoder: str = assumed("minilm", "the deck says BERT; this one is for sentences, in a package")
    crops: Literal[1, 2, 5, 10] = assumed(10, "as in baseline, so that protocols are equal")
    epochs: int = assumed(75, "not on the slides, nor is the large batch's size; as in baseline")

    @hookimpl
    def plan(self, spec: RunSpec) -> Plan:
        taught = TAUGHT.get(self.distil, self.members)
        teachers = [self._row(noise, spec.seed) for noise in taught]
        final = self._row(self.noise, spec.seed, tuple(row[-1] for row in teachers))
        tested = [final]
        if self.ensemble != "none":
            tested = [*(self._row(noise, spec.seed) for noise in self.members), final]
        return Plan(
            stages=each_once(stage for row in (*teachers, *tested) for stage in row),
            members=each_once(row[-1] for row in tested),
            combine="mean" if self.ensemble == "none" else self.ensemble,
            testing=(MultiCrop(crops=self.crops),),
        )

    def _row(self, noise: Noise, seed: int, teachers: tuple[Stage, ...] = ()) -> list[Stage]:
        """Return the stages of one row of a table, the reported one last."""
        baseline = Stage(name="baseline", backbone=self.backbone, epochs=self.epochs)
        sees = (baseline,) if noise.startswith(("kmeans", "density")) else ()
        own = replace(
            baseline,
            name="student" if teachers else noise.replace("none", "baseline"),
            sampler=ClassBalanced() if noise == "top_ranked" else baseline.sampler,
            sees=sees,
            teachers=teachers,
            noise=self._tricks(noise, baseline, seed),
            loss=(Distil(),) if teachers else (),
        )
        last = [own]
        if noise == "density_curriculum":
            last = in_tasks(own, 3, noise=partial(self._tricks, noise, baseline, seed))
        return [baseline, *last] if sees else last

    def _tricks(
        self, noise: Noise, baseline: Stage, seed: int, task: int = 1
    ) -> tuple[Trick[Samples], ...]:
        """Return the noise handling of one row; the curriculum's depends on the task."""
        split = DensitySubsets(sees=baseline, seed=seed)
        tricks: dict[str, list[Trick[Samples]]] = {
            "reweight_class": [ReweightClasses()],
            "top_ranked": [KeepTopRanked()],
            "density_clean": [split, KeepSubsets(count=task)],
            "density_curriculum": [split, KeepSubsets(count=task)],
            "density_weight": [split, WeighSubsets()],
            "semantic_only": [SemanticMatch(encoder=self.encoder, use="select")],
            "semantic": [SemanticMatch(encoder=self.encoder, use="weigh")],
            "keywords": [KeywordMatch(use="weigh")],
        }
        for use in USES:
            tricks[f"kmeans_{use}"] = [ConfusedClusters(sees=baseline, use=use, seed=seed)]
        own = tricks.get(noise, [])
        open_row = own and noise not in ("reweight_class", "top_ranked")
        return (*own, ReweightClasses()) if open_row and self.reweight == "on" else tuple(own)
