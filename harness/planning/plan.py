"""A run's plan as plain values: stages, origins, and which stages are cached."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

from harness.assembly.identity import effective_knobs, effective_values
from harness.assembly.prepare import prepare
from harness.assembly.recipe import Recipe, StageRecipe
from harness.planning.plan_text import plan_text
from harness.planning.throughput import Span, known_seconds, total
from harness.spec import RunSpec
from harness.store.origins import is_made_here
from harness.store.stages import stage_folder
from harness.terminal import visible_in
from harness.values import Stage


class PlannedRun(dict[str, Any]):
    """The plan of a run, as plain values; its repr is the text of ``harness plan``."""

    def __repr__(self) -> str:
        """Return the text of ``harness plan``."""
        return plan_text(visible_in(self))

    def _repr_html_(self) -> str:
        return f"<pre>{escape(repr(self))}</pre>"


def plan_run(asked: RunSpec, ranks: int = 1) -> PlannedRun:
    """Return the plan of ``harness run``; raises the errors that it would raise at its start.

    ``ranks`` is the number of processes that would train together.
    """
    prepared = prepare(asked, ranks)
    check_batches(prepared.recipe, ranks)
    spec, samples, recipe = prepared.spec, prepared.samples, prepared.recipe
    knobs = effective_knobs(prepared.active.method, spec)
    tested = ", ".join(split.split for split in prepared.tested)
    seconds, hardware = known_seconds(spec.home, recipe.stages, len(samples))
    stages = [_stage(spec.home, stage, len(samples), seconds) for stage in recipe.stages]
    return PlannedRun(
        {
            "label": spec.label,
            "seed": spec.seed,
            "data": f"{samples.edition} ({len(samples)} samples, {samples.num_classes} classes)",
            "plugins": [entry.name for entry in prepared.active.entries],
            "knobs": [{"name": name, **knob.model_dump()} for name, knob in knobs.items()],
            "full_size": recipe.full_size,
            "stages": stages,
            "time": _time(stages, hardware),
            "members": [member.stage.name for member in recipe.members],
            "combine": recipe.combine if recipe.networks > 1 else None,
            "testing": [repr(trick) for trick in recipe.testing],
            "protocols": [f"{name}: {tested}" for name in recipe.protocols(recipe.members[0])],
            "record": prepared.identity,
            "record_state": "done" if is_made_here(prepared.record) else "to be made",
        }
    )


def check_batches(recipe: Recipe, ranks: int) -> None:
    """Raise HarnessError if a stage's batch cannot be split over the processes, or into groups."""
    stages = [stage.stage for stage in recipe.stages]
    if ranks == 1 and all(stage.norm_group is None for stage in stages):
        return  # without torch, which takes seconds to import
    from harness.training.layout import micro_batch_size

    for stage in stages:
        micro_batch_size(stage, ranks)


def _time(stages: Sequence[Mapping[str, Any]], hardware: str) -> dict[str, Any] | None:
    """Return the time of all stages and of the remaining ones; None if one is unknown."""
    if any(stage["seconds"] is None for stage in stages):
        return None
    left = [stage["seconds"] for stage in stages if stage["state"] != "cached"]
    whole = total(Span(**stage["seconds"]) for stage in stages)
    return {
        "whole": whole._asdict(),
        "left": total(Span(**seconds) for seconds in left)._asdict(),
        "hardware": hardware,
    }


def _weights(stage: Stage) -> str:
    return f"pretrained weights ({stage.weights})" if stage.weights else "random weights"


def _every(epochs: int) -> str:
    return "after each epoch" if epochs == 1 else f"every {epochs} epochs"


def _stage(
    home: Path, recipe: StageRecipe, train_samples: int, seconds: Mapping[str, Span]
) -> dict[str, Any]:
    stage = recipe.stage
    words = [f"{train_samples * stage.epochs:,} images"]
    words += [f"{stage.networks} networks side by side"] if stage.networks > 1 else []
    words += [f"starts from {stage.start.name if stage.start else _weights(stage)}"]
    words += [f"sees {seen.name}" for seen in stage.sees]
    words += [f"is taught by {teacher.name}" for teacher in stage.teachers]
    words += [f"chooses samples again {_every(stage.refresh)}"] if recipe.epoch else []
    words += [f"uses {stage.clean} clean images a step"] if stage.clean else []
    words += [f"{type(stage.average).__name__} of the weights is also tested"] * bool(stage.average)
    return {
        "name": stage.name,
        "key": recipe.key,
        "state": _state(home, recipe),
        "seconds": seconds[recipe.key]._asdict() if recipe.key in seconds else None,
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
