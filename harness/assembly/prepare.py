"""From the specification to plugins, data, stages and the record's identity."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from harness.assembly.activation import Activation
from harness.assembly.data_sets import SharedSplits
from harness.assembly.hooks import Hooks
from harness.assembly.identity import what_decides
from harness.assembly.rank_dependence import ranks_that_matter
from harness.assembly.recipe import UNREAD, DataIdentity, Recipe, resolve
from harness.errors import DataError, HarnessError, NoLabelsError
from harness.samples import Samples
from harness.spec import RunSpec
from harness.store.record import record_id
from harness.store.stages import stage_folder

TESTED = ("val", "test", "ilsvrc")  # ilsvrc: ImageNet's validation images, if given


@dataclass(frozen=True, kw_only=True)
class Prepared:
    """A run before its first step; ``val`` is scored after each epoch, ``tested`` at the end.

    ``clean`` is the split of that name, if a stage uses it.
    """

    active: Activation
    samples: Samples
    val: Samples | None
    tested: tuple[Samples, ...]
    recipe: Recipe
    decides: Mapping[str, Any]
    world_size: int = 1
    clean: Samples | None = None

    def ranks_made(self) -> list[list[int]]:
        """Return how many ranks trained each stage, or will: other runs may finish one meanwhile.

        Only for rank 0, as all that is read from HOME: another machine's cache may be older.
        """
        folders = (stage_folder(self.spec.home, stage.key) for stage in self.recipe.stages)
        return [folder.ranks(self.world_size) for folder in folders]

    def trained_by(self, ranks: list[list[int]]) -> Prepared:
        """Return this run with the identity that these numbers of ranks give it."""
        return replace(self, decides={**self.decides, "ranks": ranks})

    @property
    def asked(self) -> str:
        """The id without the number of ranks, which another run may change by ending a stage."""
        return record_id(self.spec.plugin, self.spec.seed, {**self.decides, "ranks": []})

    @property
    def identity(self) -> str:
        """The id of the run's record."""
        return record_id(self.spec.plugin, self.spec.seed, self.decides)

    @property
    def spec(self) -> RunSpec:
        """The specification, with its data set decided."""
        return self.active.spec

    @property
    def hooks(self) -> Hooks:
        """The active plugins."""
        return self.active.hooks

    @property
    def record(self) -> Path:
        """The path of the run's record."""
        return self.spec.home / "records" / f"{self.identity}.json"


def prepare(asked: RunSpec, world_size: int = 1, shared: SharedSplits | None = None) -> Prepared:
    """Load plugins and data and resolve the recipe; raises HarnessError for what is wrong.

    ``world_size`` is the number of ranks that will train what is not trained yet. ``shared`` is
    what several runs of one command have read.
    """
    return prepare_active(Activation(asked), world_size, shared)


def prepare_active(
    active: Activation, world_size: int = 1, shared: SharedSplits | None = None
) -> Prepared:
    """Load the data of active plugins and resolve their recipe, as ``prepare`` does."""
    spec, hooks = active.spec, active.hooks
    asks = resolve(spec, hooks, UNREAD)  # finds wrong input before any data is drawn or read
    shared = SharedSplits() if shared is None else shared
    samples = shared.load(hooks, spec, "train")
    splits = {name: _labelled(spec, hooks, name, shared) for name in TESTED}
    val = splits["val"]
    several = ranks_that_matter(spec, hooks, world_size, samples.num_classes)
    clean = _clean(spec, hooks, asks, shared)
    recipe = resolve(spec, hooks, DataIdentity.of(samples, val, clean), several)
    tested = tuple(split for split in splits.values() if split is not None)
    return Prepared(
        active=active,
        samples=samples,
        val=val,
        clean=clean,
        tested=tested,
        recipe=recipe,
        decides=what_decides(spec, recipe, samples, tested, world_size, hooks),
        world_size=world_size,
    )


def _labelled(spec: RunSpec, hooks: Hooks, split: str, shared: SharedSplits) -> Samples | None:
    """Return a split with its labels, or None if they are not public."""
    try:
        return shared.load(hooks, spec, split)
    except NoLabelsError:
        return None


def _clean(spec: RunSpec, hooks: Hooks, recipe: Recipe, shared: SharedSplits) -> Samples | None:
    """Return the split "clean" if a stage uses it; raises HarnessError if there is none."""
    using = [stage.stage.name for stage in recipe.stages if stage.stage.clean]
    if not using:
        return None
    try:
        return shared.load(hooks, spec, "clean")
    except DataError as error:
        raise HarnessError(
            f"stage {using[0]!r} needs a small clean set, which data set {spec.data.name!r} does "
            f"not have: {error}"
        ) from error
