"""Ablation of a method: each trick left out of the method, and each trick added alone."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, NamedTuple

from harness.assembly.activation import Activation
from harness.assembly.identity import what_decides
from harness.assembly.prepare import prepare
from harness.assembly.recipe import UNREAD, DataIdentity, Recipe, StageRecipe, resolve
from harness.errors import HarnessError, NothingAddedError
from harness.planning.throughput import Span, known_seconds, total
from harness.spec import RunSpec
from harness.store.origins import is_made_here
from harness.store.record import record_id
from harness.store.stages import stage_folder

BASELINE = "baseline"
OWN_STAGES = "its own stages"


class AblatedTrick(NamedTuple):
    """One trick of a method, in all stages that have it."""

    name: str
    slots: tuple[str, ...]
    stages: tuple[str, ...]  # empty for a testing trick


@dataclass(frozen=True, kw_only=True)
class Variant:
    """A run with one trick more or less than ``against``, or the reason why there is none.

    The trick's contribution is ``sign`` times the difference from ``against`` to the variant.
    ``base`` names what a trick alone was added to.
    """

    spec: RunSpec | None = None
    against: RunSpec | None = None
    sign: int = 1
    base: str = ""
    reason: str = ""


@dataclass(frozen=True, kw_only=True)
class AblationRow:
    """One trick: the method without it, and the baseline, or the bare method, with it alone."""

    trick: AblatedTrick
    left_out: Variant
    alone: Variant


@dataclass(frozen=True, kw_only=True)
class Ablation:
    """All runs of an ablation, each with the same seeds."""

    method: RunSpec
    seeds: tuple[int, ...]
    rows: tuple[AblationRow, ...]

    @cached_property
    def runs(self) -> tuple[RunSpec, ...]:
        """The runs, each once, seed by seed, so that an early stop leaves complete seeds."""
        specs = [self.method]
        for row in self.rows:
            for variant in (row.left_out, row.alone):
                specs += [spec for spec in (variant.against, variant.spec) if spec is not None]
        # A spec contains mappings, so it is not hashable.
        once = [spec for place, spec in enumerate(specs) if spec not in specs[:place]]
        return tuple(replace(spec, seed=seed) for seed in self.seeds for spec in once)


class AblationCost(NamedTuple):
    """The runs and stages to do, and their time if earlier records allow an estimate."""

    runs: int
    finished_runs: int
    stages: int
    finished_stages: int
    seconds: Span | None
    hardware: str


def ablation(asked: RunSpec, seeds: int) -> Ablation:
    """Return the runs of an ablation for ``seeds`` seeds, from the seed of the spec upwards.

    Raises HarnessError if the method cannot run, or has no trick.
    """
    active = Activation(asked)
    method = active.spec  # with the data set filled in, so that the baseline has the same
    recipe = resolve(method, active.hooks, UNREAD)
    tricks = _tricks(recipe)
    if not tricks:
        raise HarnessError(f"{method.label} has no trick to leave out; choose a method with tricks")
    adding = _Adding(method, recipe)
    rows = (
        AblationRow(trick=trick, left_out=_without(method, trick.name), alone=adding.alone(trick))
        for trick in tricks
    )
    return Ablation(
        method=method, seeds=tuple(range(method.seed, method.seed + seeds)), rows=tuple(rows)
    )


def _tricks(recipe: Recipe) -> list[AblatedTrick]:
    found: dict[str, tuple[dict[str, None], dict[str, None]]] = {}
    for slot, stage, trick in _tricks_by_slot(recipe):
        slots, stages = found.setdefault(type(trick).__name__, ({}, {}))
        slots[slot] = None
        if stage:
            stages[stage] = None
    return [
        AblatedTrick(name, tuple(slots), tuple(stages)) for name, (slots, stages) in found.items()
    ]


def _tricks_by_slot(recipe: Recipe) -> Iterator[tuple[str, str, Any]]:
    for stage in recipe.stages:
        for slot, tricks in stage.slots.items():
            yield from ((slot, stage.stage.name, trick) for trick in tricks)
    yield from (("testing", "", trick) for trick in recipe.testing)


def _settings(recipe: Recipe) -> dict[str, set[str]]:
    """Return the settings of each trick in the recipe's stages, by its name."""
    found: dict[str, set[str]] = {}
    for _, _, trick in _tricks_by_slot(recipe):
        found.setdefault(type(trick).__name__, set()).add(repr(trick))
    return found


def _without(method: RunSpec, name: str) -> Variant:
    left_out = replace(method, without=(*method.without, name))
    return Variant(spec=left_out, against=method, sign=-1)


class _Adding:
    """The base of each single trick: the baseline if possible, else the method without tricks."""

    def __init__(self, method: RunSpec, recipe: Recipe) -> None:
        self._method, self._settings = method, _settings(recipe)
        self._baseline = replace(
            method,
            plugin=BASELINE,
            knobs={},
            without=(),
            extra=(),
            overrides=tuple(one for one in method.overrides if not one.stage),
        )
        # What adds nothing to the baseline may still add to the method.
        further = [name for name in method.extra if name != BASELINE]
        extra = tuple(name for name in further if self._with((name,)) is not None)
        self._baseline = replace(self._baseline, extra=extra)
        self._with_all = replace(self._baseline, extra=(method.plugin, *extra))

    def _with(self, extra: tuple[str, ...]) -> dict[str, set[str]] | None:
        """Return the tricks of the baseline with further plugins; None if one adds nothing."""
        spec = replace(self._baseline, extra=extra)
        try:
            return _settings(resolve(spec, Activation(spec).hooks, UNREAD))
        except NothingAddedError:
            return None

    @cached_property
    def _own(self) -> dict[str, set[str]]:
        """The baseline's own tricks, which stay on both sides."""
        return self._with(self._baseline.extra) or {}

    @cached_property
    def _added(self) -> dict[str, set[str]]:
        """The tricks of the baseline with the method added as an extra plugin."""
        return self._with(self._with_all.extra) or {}

    def alone(self, trick: AblatedTrick) -> Variant:
        """Return the run with one trick, or the reason why there is none.

        An added plugin has its knobs' defaults, and its stage tricks apply to its own stages only.
        If the trick then differs from the method's, it is added to the method's own stages.
        """
        if self._method.plugin == BASELINE or trick.name in self._own:
            return Variant(reason="baseline has it already")
        if (
            self._added.get(trick.name, set())
            and self._added[trick.name] <= self._settings[trick.name]
        ):
            others = self._others(self._added, trick)
            spec = replace(self._with_all, without=others)
            return Variant(spec=spec, against=self._baseline, base=BASELINE)
        spec, against = (
            replace(
                self._method,
                without=(*self._method.without, *self._others(self._settings, kept)),
            )
            for kept in (trick, None)
        )
        return Variant(spec=spec, against=against, base=OWN_STAGES)

    def _others(self, tricks: Iterable[str], kept: AblatedTrick | None = None) -> tuple[str, ...]:
        stay = {*self._own, *((kept.name,) if kept else ())}
        return tuple(name for name in tricks if name not in stay)


def cost_of(asked: Ablation) -> AblationCost:
    """Return the cost of the unfinished runs; the data is read once."""
    prepared = prepare(asked.runs[0])
    samples, home = prepared.samples, prepared.spec.home
    data = DataIdentity.of(samples, prepared.val)
    stages: dict[str, StageRecipe] = {}
    finished = 0
    for run in asked.runs:
        active = Activation(run)
        spec = active.spec  # as its record has it
        recipe = resolve(spec, active.hooks, data)
        stages |= {stage.key: stage for stage in recipe.stages}
        decides = what_decides(spec, recipe, samples, prepared.tested)
        identity = record_id(spec.plugin, spec.seed, decides)
        finished += is_made_here(home / "records" / f"{identity}.json")
    left = [one for one in stages.values() if stage_folder(home, one.key).done() is None]
    seconds, hardware = known_seconds(home, left, len(samples))
    return AblationCost(
        runs=len(asked.runs),
        finished_runs=finished,
        stages=len(stages),
        finished_stages=len(stages) - len(left),
        seconds=total(seconds.values()) if len(seconds) == len(left) else None,
        hardware=hardware,
    )
