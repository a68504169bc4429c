"""A run's plan as plain values: stages, origins, what is cached, what will be trained."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from harness.preparation import prepare
from harness.provenance import effective_knobs, effective_values
from harness.recipe import StageRecipe
from harness.spec import RunSpec
from harness.stages import stage_folder


def planned(asked: RunSpec) -> dict[str, Any]:
    """Return everything that ``harness run`` would do; raises what it would raise at its start."""
    prepared = prepare(asked)
    spec, samples, recipe = prepared.spec, prepared.samples, prepared.recipe
    knobs = effective_knobs(prepared.active.method, spec)
    tested = ", ".join(split.split for split in prepared.tested)
    return {
        "label": spec.label,
        "seed": spec.seed,
        "data": f"{samples.edition} ({len(samples)} samples, {samples.num_classes} classes)",
        "plugins": [entry.name for entry in prepared.active.entries],
        "knobs": [{"name": name, **knob.model_dump()} for name, knob in knobs.items()],
        "full_size": recipe.full_size,
        "stages": [_stage(spec.home, stage, len(samples)) for stage in recipe.stages],
        "members": [member.stage.name for member in recipe.members],
        "combine": recipe.combine if len(recipe.members) > 1 else None,
        "protocols": [f"{name}: {tested}" for name in recipe.protocols(recipe.members[0])],
        "record": prepared.identity,
        "record_state": "done" if prepared.record.exists() else "to be made",
    }


def _stage(home: Path, recipe: StageRecipe, train_samples: int) -> dict[str, Any]:
    stage = recipe.stage
    words = [f"{train_samples * stage.epochs:,} images"]
    words += [f"starts from {stage.start}"] if stage.start else ["starts from random weights"]
    words += [f"sees {name}" for name in stage.sees]
    words += [f"is taught by {name}" for name in stage.teachers]
    return {
        "name": stage.name,
        "key": recipe.key,
        "state": _state(home, recipe),
        "graph": "; ".join(words),
        "values": [
            {"name": name, "value": value, "origin": recipe.origins[name]}
            for name, value in effective_values(recipe).items()
        ],
        "tricks": {
            slot: [repr(trick) for trick in tricks] for slot, tricks in recipe.slots.items()
        },
    }


def _state(home: Path, recipe: StageRecipe) -> str:
    folder = stage_folder(home, recipe.key)
    if folder.done() is not None:
        return "cached"
    newest = max((path.stem for path in folder.path.glob("checkpoint-*.json")), default="")
    return f"begun, step {int(newest.partition('-')[2])}" if newest else "to be trained"
