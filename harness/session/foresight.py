"""Checks of all stages before the first one is trained."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from torch import nn

from harness.assembly.prepare import Prepared
from harness.assembly.recipe import Recipe, StageRecipe
from harness.errors import HarnessError
from harness.session.encoders import found_encoder, picture_encoders
from harness.store.stages import stage_folder
from harness.testing.ensemble import NEEDS_VAL
from harness.training.batch_norm import check_pictures
from harness.training.compiled import check_compiler
from harness.training.memory import (
    batches_ahead,
    check_memory,
    free_bytes,
    step_memory,
    weight_bytes,
)
from harness.training.ranks import Ranks
from harness.training.rehearsal import rehearse
from harness.training.state import state_bytes


def check_stages(
    recipe: Recipe,
    prepared: Prepared,
    ranks: Ranks,
    draw: Callable[[StageRecipe], nn.Module],
) -> None:
    """Raise HarnessError now if a later stage, or the test, could not even begin.

    ``draw`` builds a stage's network with initial weights. Every stage that is left to train is
    rehearsed; equal ones once.
    """
    if recipe.combine == "learned" and recipe.networks > 1 and prepared.val is None:
        raise HarnessError(NEEDS_VAL)
    builder = prepared.hooks.provider("build_model").name
    rehearsed: set[tuple[str, bool]] = set()
    backbones: dict[str, int] = {}  # and the bytes of their weights
    free = free_bytes(ranks)
    home = prepared.spec.home
    done = ranks.decided(lambda: [stage_folder(home, one.key).done() for one in recipe.stages])
    for stage, marker in zip(recipe.stages, done, strict=True):
        for encoder in () if marker else picture_encoders(stage):
            found_encoder(prepared.hooks, prepared.spec, encoder)
        seen = stage.stage.name in recipe.seen
        new = marker is None and (stage.rehearsal, seen) not in rehearsed
        if not new and stage.stage.backbone in backbones:
            continue
        network = draw(stage)
        backbones[stage.stage.backbone] = weight_bytes(network)
        if new:
            rehearsed.add((stage.rehearsal, seen))
            check_pictures(network, stage.stage, ranks.world_size)
            check_compiler(stage.stage, ranks.device)
            teachers = sum(backbones.get(teacher.backbone, 0) for teacher in stage.stage.teachers)
            steps = stage.stage.epochs * -(-len(prepared.samples) // stage.stage.batch_size)
            ahead = batches_ahead(prepared.spec.loader_threads, steps)
            engine = prepared.spec.engine
            least = step_memory(network, ranks, engine=engine, teachers=teachers, ahead=ahead)
            state = state_bytes((*stage.batch, *stage.loss), prepared.samples)
            least = replace(least, state=state)
            check_memory(least, stage.stage, ranks, free)
            kept = rehearse(stage, network.to(ranks.device), builder, prepared.samples, seen=seen)
            check_memory(replace(least, activations=kept), stage.stage, ranks, free)
