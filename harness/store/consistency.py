"""A cheap check of every record that is read: its fields must not contradict each other."""

from __future__ import annotations

import operator
from collections.abc import Iterator, Sequence
from datetime import datetime
from math import fsum
from typing import Any

from harness.store.record import Cost, EffectiveStage, ResultRecord, Score

ROUNDING = 1e-9  # sums in a different order differ by less
Shares = Sequence[float | None]


def contradictions(record: ResultRecord, identity: str) -> Iterator[str]:
    """Yield each contradiction between fields of a record, in a few words.

    ``identity`` is the id that follows from ``decides``.
    """
    if record.id != identity:
        yield "its id is not that of its plugin, its seed and what decides it"
    yield from _decisions(record)
    terms = [(score.split, score.protocol, score.epoch) for score in record.scores]
    for split, protocol, epoch in sorted({one for one in terms if terms.count(one) > 1}):
        yield f"{split}, {protocol}, {epoch} epoch is scored twice"
    for score in record.scores:
        for problem in _score(score, record.data.classes):
            yield f"{score.split}, {score.protocol}, {score.epoch} epoch: {problem}"
    yield from _stages(record)
    yield from _noise(record)
    yield from _cost(record.cost, {stage.name for stage in record.stages})


def _decisions(record: ResultRecord) -> Iterator[str]:
    """Compare ``decides``, whose digest is in the id, with the record's other fields."""
    said: dict[str, Any] = {
        "label": record.label,
        "seed": record.seed,
        "stages": [[stage.name, stage.key] for stage in record.stages],
        "ranks": [list(stage.ranks) for stage in record.stages],
        "combine": record.combine or None,
    }
    for name, value in said.items():
        if name in record.decides and record.decides[name] != value:
            yield f"its {name} is not the one that its id was made of"
    data = record.decides.get("data")
    if isinstance(data, list) and data[:1] != [record.data.fingerprint]:
        yield "the fingerprint of its data is not the one that its id was made of"
    tested = sorted(record.data.tested.values())
    if isinstance(data, list) and tested and sorted(map(str, data[1:])) != tested:
        yield "the fingerprints of its tested splits are not those that its id was made of"


def _score(score: Score, classes: int) -> Iterator[str]:
    if score.images < 1:
        yield "there are no images"
        return
    if score.top1 > score.top5:
        yield f"top-1 is {score.top1:.4f}, above top-5, {score.top5:.4f}"
    if score.top1_class_mean > score.top5_class_mean + ROUNDING:
        yield "the class mean of top-1 is above that of top-5"
    for name, share in (("top-1", score.top1), ("top-5", score.top5)):
        right = share * score.images
        if abs(right - round(right)) > ROUNDING * score.images:
            yield f"{name} is {share!r}, which is not a whole number of {score.images} images"
    if score.per_class_top1 or score.per_class_top5:
        yield from _per_class(score, classes)


def _per_class(score: Score, classes: int) -> Iterator[str]:
    one, five = score.per_class_top1, score.per_class_top5
    if not len(one) == len(five) == classes:
        yield f"there are values of {len(one)} and {len(five)} classes, not of {classes}"
        return
    if [share is None for share in one] != [share is None for share in five]:
        yield "top-1 and top-5 are of different classes"
        return
    known = [[share for share in shares if share is not None] for shares in (one, five)]
    if not known[0] or len(known[0]) > score.images:
        yield f"{score.images} images are not those of {len(known[0])} classes"
        return
    if any(map(operator.gt, *known)):
        yield "a class has a top-1 above its top-5"
    for name, shares, mean, flat in (
        ("top-1", known[0], score.top1_class_mean, score.top1),
        ("top-5", known[1], score.top5_class_mean, score.top5),
    ):
        if abs(fsum(shares) / len(shares) - mean) > ROUNDING:
            yield f"the class mean of {name} is not the mean of its classes"
        if not min(shares) - ROUNDING <= flat <= max(shares) + ROUNDING:
            yield f"{name} is outside the range of its classes' values"


def _stages(record: ResultRecord) -> Iterator[str]:
    names = [stage.name for stage in record.stages]
    if not set(record.members) <= set(names):
        yield "a stage is tested that is not among its stages"
    if record.data.classes < 1 or record.data.train_samples < 1:
        yield "its data has no classes or no samples"
    for stage in record.stages:
        for problem in _stage(stage):
            yield f"stage {stage.name}: {problem}"


def _stage(stage: EffectiveStage) -> Iterator[str]:
    if stage.broken_images < 0:
        yield f"{stage.broken_images} broken images"
    epochs = [entry["epoch"] for entry in stage.history if "epoch" in entry]
    if epochs != list(range(1, len(epochs) + 1)):
        yield "its epochs do not follow each other"
    elif stage.values.get("epochs", "").isdigit() and len(epochs) > int(stage.values["epochs"]):
        yield f"{len(epochs)} epochs of {stage.values['epochs']}"
    for entry in stage.history:
        top1, top5 = entry.get("val_top1", 0.0), entry.get("val_top5", 1.0)
        if not 0 <= top1 <= top5 <= 1:
            yield f"val top-1 {top1} and top-5 {top5} of an epoch"


def _noise(record: ResultRecord) -> Iterator[str]:
    """The clean entries that were kept are a share of those kept, and of the clean ones."""
    names = [one.stage for one in record.noise]
    if len(set(names)) < len(names) or not set(names) <= {stage.name for stage in record.stages}:
        yield "its noise handling is not that of its stages, one each"
    for one in record.noise:
        if one.precision is None or one.recall is None:
            continue
        if abs(one.precision * one.kept - one.recall * one.clean) > ROUNDING:
            yield f"stage {one.stage}: its precision and recall are not of the same clean labels"


def _cost(cost: Cost, stages: set[str]) -> Iterator[str]:
    spent = [cost.wall_seconds, cost.device_seconds, cost.peak_memory_bytes]
    if min(*spent, *cost.stage_seconds.values(), *cost.images_per_second.values()) < 0:
        yield "its cost is below 0"
    if not cost.stage_seconds.keys() | cost.images_per_second.keys() <= stages:
        yield "its cost is that of other stages"
    try:
        datetime.fromisoformat(cost.created.replace("Z", "+00:00"))
    except ValueError:
        yield "its date of creation is not a date"
