"""WeChat AI, WebVision 2020 (second place): pre-train on what the web wrote, then fine-tune."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Literal

from pydantic import NonNegativeInt, PositiveInt

from harness.hookspecs import hookimpl
from harness.knobs import assumed, published
from harness.language.taggers import best_tagger
from harness.samplers import ClassBalanced, Uniform
from harness.samples import Samples
from harness.schedules import Constant, Steps
from harness.tricks.noise.keyword_tags import KeywordTags
from harness.tricks.noise.label_weights import LabelWeights
from harness.tricks.noise.pseudo_labels import PseudoLabels
from harness.tricks.testing.crops import MultiCrop
from harness.values import Plan, Stage, Trick

Backbone = Literal["resnest101e", "resnext101_32x4d", "efficientnet_b4", "resnest200e"]
Pretrain = Literal["none", "LW", "WT"]
Switch = Literal["off", "on"]


@dataclass(frozen=True, kw_only=True)
class WeChat:
    """Pre-train on keywords (WT) or weighted labels (LW), then fine-tune with a new head.

    Later stages continue with that network: larger images, then pseudo labels by all networks of
    the run. Assumed: pre-training and the row without it have baseline's schedule, that row has the
    epochs of both stages; larger images keep the last learning rate of fine-tuning; pseudo labels
    are fine-tuned on once more; an ensemble adds one network with the other pre-training.
    """

    pretrain: Pretrain = published("WT", "WeChat deck, slide 9: the best, 77.8 % top-5")
    backbone: Backbone = published("resnest101e", "WeChat deck, slide 9: ResNeSt-101")
    large_resolution: Switch = published("off", "WeChat deck, slide 9 is without, 10 has it")
    pseudo_labels: Switch = published("off", "WeChat deck, slide 9 is without, 10 has it")
    ensemble: Switch = published("off", "WeChat deck, slide 9 is without, 10 has it")
    other_backbone: Backbone = assumed("resnext101_32x4d", "'different backbones' names none")
    sampling: Literal["balanced", "uniform"] = published("balanced", "WeChat deck, slides 6 and 10")
    tagger: Literal["auto", "nltk", "textblob"] = assumed("auto", "the deck's NLTK if installed")
    least_images: PositiveInt = assumed(5, "'least common' has no number")
    most_common: float = assumed(0.01, "no number; by Zipf's law over half the uses of 35k words")
    keywords: PositiveInt = published(35_000, "WeChat deck, slide 4")
    keywords_per_image: PositiveInt = published(5, "WeChat deck, slide 4: 'about five'; the most")
    encoder: str = assumed("minilm", "'text similarity' names no model; this one is packaged")
    neighbours: NonNegativeInt = published(5, "WeChat deck, slide 5: five are drawn")
    top: PositiveInt = published(5, "WeChat deck, slide 5: five weights are shown")
    pretrain_epochs: PositiveInt = assumed(75, "not on the slides; as in baseline")
    finetune_epochs: PositiveInt = assumed(105, "one period of 90 and a short one, for the budget")
    finetune_lr: float = published(0.01, "WeChat deck, slide 8")
    decay_epochs: PositiveInt = published(90, "WeChat deck, slide 8")
    batch_size: PositiveInt = published(256, "WeChat deck, slide 8")
    accumulation: PositiveInt = assumed(8, "'for each 8 steps' is read as 8 parts of a batch")
    large_size: PositiveInt = assumed(320, "'larger input size' has no number")
    large_epochs: PositiveInt = assumed(15, "not on the slides")
    pseudo_epochs: PositiveInt = assumed(90, "not on the slides; one period of the learning rate")
    crops: Literal[1, 2, 5, 10] = assumed(10, "as in baseline, so that protocols are equal")

    @hookimpl
    def plan(self) -> Plan:
        stages = self._network(self.pretrain, self.backbone)
        best = [stages[-1]]
        if self.ensemble == "on":
            stages += self._network("WT" if self.pretrain == "LW" else "LW", self.other_backbone)
            best.append(stages[-1])
        if self.pseudo_labels == "on":
            sees, epochs = tuple(best), self.pseudo_epochs
            own = {"epochs": epochs, "sees": sees, "noise": (PseudoLabels(sees=sees),)}
            best = [self._after(stage, "pseudo", **own) for stage in best]
            stages += best
        crops = (MultiCrop(crops=self.crops),)
        return Plan(stages=tuple(stages), members=tuple(best), testing=crops)

    def _network(self, pretrain: Pretrain, backbone: Backbone) -> list[Stage]:
        first = Stage(
            name=f"{pretrain}-pretrain",
            backbone=backbone,
            epochs=self.pretrain_epochs,
            batch_size=self.batch_size,
            accumulation=self.accumulation,
            lr=0.1 * self.batch_size / 256,
            sampler=ClassBalanced() if self.sampling == "balanced" else Uniform(),
            noise=self._targets(pretrain),
        )
        stages = [first, self._after(first, "finetune", head="new")]
        if pretrain == "none":
            whole = self.pretrain_epochs + self.finetune_epochs
            stages = [replace(first, name="none-train", epochs=whole)]
        if self.large_resolution == "on":
            large = self._after(stages[-1], "large", input_size=self.large_size)
            last_lr = large.lr * large.schedule.factor(1)
            stages.append(replace(large, epochs=self.large_epochs, lr=last_lr, schedule=Constant()))
        return stages

    def _after(self, stage: Stage, part: str, **changes: Any) -> Stage:
        """Return the published fine-tuning of ``stage``, with ``changes``."""
        name, whole = f"{stage.name.partition('-')[0]}-{part}", self.finetune_epochs
        decays = range(self.decay_epochs, whole, self.decay_epochs)
        steps = Steps(milestones=tuple(epoch / whole for epoch in decays))
        tuned = replace(stage, name=name, start=stage, head="keep", schedule=steps, noise=())
        return replace(tuned, **{"epochs": whole, "lr": self.finetune_lr, **changes})

    def _targets(self, pretrain: Pretrain) -> tuple[Trick[Samples], ...]:
        """Return the tricks that set the targets of pre-training."""
        if pretrain == "WT":
            tags = KeywordTags(
                tagger=best_tagger() if self.tagger == "auto" else self.tagger,
                least_images=self.least_images,
                most_common=self.most_common,
                max_keywords=self.keywords,
                per_image=self.keywords_per_image,
            )
            return (tags,)
        weights = LabelWeights(encoder=self.encoder, neighbours=self.neighbours, top=self.top)
        return (weights,) if pretrain == "LW" else ()
