"""What one record shows of its noise handling, its cost, and what came from outside the data."""

from __future__ import annotations

import re

from harness.store.record import EffectiveStage, ResultRecord

_ENCODER = re.compile(r"\bencoder='([^']+)'")
_BUILT_IN = "lexical"  # the one text encoder that was trained on nothing


def noise_auc(record: ResultRecord) -> float | None:
    """Return the AUC of the last stage that weighs or leaves out pictures; None if unknown."""
    known = [quality.auc for quality in record.noise if quality.auc is not None]
    return known[-1] if known else None


def images_seen(record: ResultRecord) -> float | None:
    """Return how many pictures were trained on: each crop, in each network, of each stage."""
    speeds, seconds, total = record.cost.images_per_second, record.cost.stage_seconds, 0.0
    for stage in record.stages:
        images = speeds.get(stage.name, 0) * seconds.get(stage.name, 0)
        if not images:
            return None
        total += images * _whole(stage, "networks", 1) * _whole(stage, "views", 1)
    return total or None


def from_outside(record: ResultRecord) -> tuple[str, ...]:
    """Return what a run took from outside the training split, as far as its record says."""
    weights = any(stage.values.get("weights", "None") != "None" for stage in record.stages)
    clean = any(_whole(stage, "clean", 0) for stage in record.stages)
    tricks = " ".join(
        t for stage in record.stages for found in stage.tricks.values() for t in found
    )
    encoders = dict.fromkeys(name for name in _ENCODER.findall(tricks) if name != _BUILT_IN)
    return (
        *(("weights",) if weights else ()),
        *(("clean pictures",) if clean else ()),
        *(f"encoder {name}" for name in encoders),
    )


def _whole(stage: EffectiveStage, field: str, default: int) -> int:
    text = stage.values.get(field, "")
    return int(text) if text.isdigit() else default
