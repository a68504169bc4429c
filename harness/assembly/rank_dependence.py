"""Stages whose result depends on the number of ranks by more than rounding: their keys cover it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.values import Stage, apply

if TYPE_CHECKING:
    from torch import nn

    from harness.assembly.hooks import Hooks
    from harness.assembly.recipe import RanksThatMatter, Slots
    from harness.spec import RunSpec


def ranks_that_matter(
    spec: RunSpec, hooks: Hooks, world_size: int, outputs: int
) -> RanksThatMatter | None:
    """Return a function that gives a stage's number of ranks if its result depends on it.

    It does if batch or loss tricks see a rank's micro-batch, whose size depends on it, or if the
    network draws random numbers in training, as dropout does. One rank is the reference: then the
    result is None, and no network is built.
    """
    if world_size == 1:
        return None
    drawing: dict[tuple[object, ...], bool] = {}

    def ranks(stage: Stage, slots: Slots) -> int | None:
        if stage.norm_group is None and (slots["batch"] or slots["loss"]):
            return world_size
        network = (stage.backbone, stage.input_size, *map(repr, slots["model"]))
        if network not in drawing:
            module = apply(slots["model"], hooks.build_model(spec, stage, outputs))
            drawing[network] = _draws(module, stage.input_size)
        return world_size if drawing[network] else None

    return ranks


def _draws(module: nn.Module, size: int) -> bool:
    """Whether a network in training draws from torch's generator."""
    import torch

    with torch.random.fork_rng(devices=[]), torch.no_grad():
        before = torch.get_rng_state()
        module.train()(torch.zeros(2, 3, size, size))
        return not torch.equal(before, torch.get_rng_state())
