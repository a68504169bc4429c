"""What is tried of all stages before the first of them is made."""

from __future__ import annotations

from collections.abc import Callable

from torch import nn

from harness.assembly.prepare import Prepared
from harness.assembly.recipe import Recipe, StageRecipe
from harness.errors import HarnessError
from harness.store.stages import stage_folder
from harness.testing.ensemble import NEEDS_VAL
from harness.training.batch_norm import check_pictures
from harness.training.memory import check_memory
from harness.training.ranks import Ranks
from harness.training.rehearsal import rehearse


def check_stages(
    recipe: Recipe,
    prepared: Prepared,
    ranks: Ranks,
    draw: Callable[[StageRecipe], nn.Module],
) -> None:
    """Raise HarnessError now if a later stage, or the test, could not even begin.

    ``draw`` builds a fresh network of a stage. Every stage that is left to train is rehearsed, and
    equal ones once.
    """
    if recipe.combine == "learned" and len(recipe.members) > 1 and prepared.val is None:
        raise HarnessError(NEEDS_VAL)
    classes, builder = prepared.samples.num_classes, prepared.hooks.provider("build_model").name
    rehearsed: set[tuple[str, bool]] = set()
    backbones: set[str] = set()
    for stage in recipe.stages:
        seen = stage.stage.name in recipe.seen
        left = stage_folder(prepared.spec.home, stage.key).done() is None
        new = left and (stage.rehearsal, seen) not in rehearsed
        if not new and stage.stage.backbone in backbones:
            continue
        backbones.add(stage.stage.backbone)
        network = draw(stage)
        if new:
            rehearsed.add((stage.rehearsal, seen))
            check_pictures(network, stage.stage, ranks.world_size)
            check_memory(network, stage.stage, ranks)
            rehearse(stage, network.to(ranks.device), builder, classes, seen=seen)
