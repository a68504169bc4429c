"""What each trick of a method is worth: left out of the method, and added alone to the baseline."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from harness.activation import Activation
from harness.errors import HarnessError
from harness.preparation import prepare
from harness.provenance import record_id
from harness.recipe import Recipe, StageRecipe, resolve
from harness.record import ResultRecord, digest
from harness.spec import RunSpec
from harness.stages import stage_folder
from harness.statistics.intervals import Interval, paired_difference
from harness.studies.predictions import KeptPredictions, kept_predictions
from harness.studies.throughput import Span, known_seconds, total

BASELINE = "baseline"
METRICS = {"top1": 1, "top5": 5}
SPLITS = ("test", "val", "ilsvrc")


class Trick(NamedTuple):
    """One trick of a method, however many of its stages have it."""

    name: str
    slots: tuple[str, ...]
    stages: tuple[str, ...]  # empty where it is one of testing


@dataclass(frozen=True, kw_only=True)
class Variant:
    """A run with a trick more or less than ``against``, or why there can be none.

    The trick's contribution is ``sign`` times what the variant has more than ``against``.
    """

    spec: RunSpec | None = None
    against: RunSpec | None = None
    sign: int = 1
    reason: str = ""


@dataclass(frozen=True, kw_only=True)
class Row:
    """One trick: the method without it, and the baseline with it alone."""

    trick: Trick
    left_out: Variant
    alone: Variant


@dataclass(frozen=True, kw_only=True)
class Ablation:
    """Every run that tells what a method's tricks are worth, each with the same seeds."""

    method: RunSpec
    seeds: tuple[int, ...]
    rows: tuple[Row, ...]

    @cached_property
    def runs(self) -> tuple[RunSpec, ...]:
        """The runs, each once, seed by seed: what is stopped early has whole seeds."""
        specs = [self.method]
        for row in self.rows:
            for variant in (row.left_out, row.alone):
                specs += [spec for spec in (variant.against, variant.spec) if spec is not None]
        # A spec holds mappings, so none of them has a hash.
        once = [spec for place, spec in enumerate(specs) if spec not in specs[:place]]
        return tuple(replace(spec, seed=seed) for seed in self.seeds for spec in once)


class Cost(NamedTuple):
    """What is to be done: runs, stages, and their time where earlier records tell."""

    runs: int
    finished_runs: int
    stages: int
    finished_stages: int
    seconds: Span | None
    hardware: str


@dataclass(frozen=True, kw_only=True)
class Contribution:
    """What a trick added on shared seeds and images, in shares; empty where ``reason`` says why."""

    intervals: Mapping[str, Interval]
    reason: str = ""


def ablation(asked: RunSpec, seeds: int) -> Ablation:
    """Return the runs of an ablation: the asked seed and those that follow it.

    Raises HarnessError where the method cannot run, or has no trick.
    """
    active = Activation(asked)
    method = active.spec  # with its data set decided, so that the baseline has the same
    recipe = resolve(method, active.hooks, "")
    tricks = _tricks(recipe)
    if not tricks:
        raise HarnessError(f"{method.label} has no trick to leave out")
    adding = _Adding(method, recipe)
    rows = (
        Row(trick=trick, left_out=_without(method, trick.name), alone=adding.alone(trick))
        for trick in tricks
    )
    return Ablation(
        method=method, seeds=tuple(range(method.seed, method.seed + seeds)), rows=tuple(rows)
    )


def _tricks(recipe: Recipe) -> list[Trick]:
    found: dict[str, tuple[dict[str, None], dict[str, None]]] = {}
    for slot, stage, trick in _placed(recipe):
        slots, stages = found.setdefault(type(trick).__name__, ({}, {}))
        slots[slot] = None
        if stage:
            stages[stage] = None
    return [Trick(name, tuple(slots), tuple(stages)) for name, (slots, stages) in found.items()]


def _placed(recipe: Recipe) -> Iterator[tuple[str, str, Any]]:
    for stage in recipe.stages:
        for slot, tricks in stage.slots.items():
            yield from ((slot, stage.stage.name, trick) for trick in tricks)
    yield from (("testing", "", trick) for trick in recipe.testing)


def _described(recipe: Recipe) -> dict[str, set[str]]:
    """Return how each trick is set in the recipe's stages, by its name."""
    found: dict[str, set[str]] = {}
    for _, _, trick in _placed(recipe):
        found.setdefault(type(trick).__name__, set()).add(repr(trick))
    return found


def _without(method: RunSpec, name: str) -> Variant:
    left_out = replace(method, without=(*method.without, name))
    try:
        resolve(left_out, Activation(left_out).hooks, "")
    except HarnessError as error:
        return Variant(reason=" ".join(str(error).split()))
    return Variant(spec=left_out, against=method, sign=-1)


class _Adding:
    """The baseline, and what of a method can be added to it."""

    def __init__(self, method: RunSpec, recipe: Recipe) -> None:
        self._recipe = recipe
        self._baseline = replace(
            method,
            plugin=BASELINE,
            knobs={},
            without=(),
            extra=tuple(name for name in method.extra if name != BASELINE),
            overrides=tuple(one for one in method.overrides if not one.stage),
        )
        self._name, self._has_knobs = method.plugin, bool(method.knobs)
        self._with_all = replace(self._baseline, extra=(method.plugin, *self._baseline.extra))

    @cached_property
    def _own(self) -> dict[str, set[str]]:
        """The baseline's own tricks."""
        return _described(resolve(self._baseline, Activation(self._baseline).hooks, ""))

    @cached_property
    def _met(self) -> dict[str, set[str]]:
        """Those of the baseline that is lent all tricks of the method."""
        return _described(resolve(self._with_all, Activation(self._with_all).hooks, ""))

    def alone(self, trick: Trick) -> Variant:
        """Return the baseline with one trick, or why that cannot be."""
        if self._name == BASELINE or trick.name in self._own:
            return Variant(reason="baseline has it already")
        if trick.name not in self._met:
            where = ", ".join(trick.stages) or "testing"
            knobs = ", or for the knobs set here" if self._has_knobs else ""
            return Variant(
                reason=f"cannot stand alone: {self._name} gives it to {where} only{knobs}"
            )
        if not self._met[trick.name] <= _described(self._recipe)[trick.name]:
            return Variant(reason="alone it would have other knobs: a lent method has its defaults")
        others = tuple(name for name in self._met if name not in (trick.name, *self._own))
        spec = replace(self._with_all, without=others)
        return Variant(spec=spec, against=self._baseline)


def cost_of(asked: Ablation) -> Cost:
    """Return what is left to do; the data are read once."""
    prepared = prepare(asked.runs[0])
    samples, home = prepared.samples, prepared.spec.home
    fingerprint = digest([samples.fingerprint, prepared.val.fingerprint if prepared.val else None])
    stages: dict[str, StageRecipe] = {}
    finished = 0
    for spec in asked.runs:
        recipe = resolve(spec, Activation(spec).hooks, fingerprint)
        stages |= {stage.key: stage for stage in recipe.stages}
        identity = record_id(spec, recipe, samples, prepared.tested)
        finished += (home / "records" / f"{identity}.json").exists()
    left = [one for one in stages.values() if stage_folder(home, one.key).done() is None]
    seconds, hardware = known_seconds(home, left, len(samples))
    return Cost(
        runs=len(asked.runs),
        finished_runs=finished,
        stages=len(stages),
        finished_stages=len(stages) - len(left),
        seconds=total(seconds.values()) if len(seconds) == len(left) else None,
        hardware=hardware,
    )


class Outcomes:
    """The records of an ablation's runs, or why there are none."""

    def __init__(self, found: Iterable[tuple[RunSpec, ResultRecord | None, str]]) -> None:
        self._found = list(found)

    def contribution(self, variant: Variant, seeds: Sequence[int], split: str) -> Contribution:
        """Return what a variant's trick is worth on the seeds of which both runs are there.

        Each run is scored under its method's own views, so that a trick of testing counts, too.
        """
        if variant.spec is None or variant.against is None:
            return Contribution(intervals={}, reason=variant.reason)
        pairs, reasons = [], []
        for seed in seeds:
            kept = []
            for spec in (replace(variant.spec, seed=seed), replace(variant.against, seed=seed)):
                record, reason = self._record(spec)
                if record is None:
                    reasons.append(f"{spec.label}, seed {seed}: {reason}")
                else:
                    kept.append(answers(spec, record, split))
            if len(kept) == 2:
                pairs.append(kept)
        if not pairs:
            return Contribution(intervals={}, reason=reasons[0])
        intervals = {name: _difference(pairs, k, variant.sign) for name, k in METRICS.items()}
        return Contribution(intervals=intervals, reason=reasons[0] if reasons else "")

    def split(self, asked: str | None) -> str:
        """Return the split to judge on; raises HarnessError where it was not scored."""
        records = [record for _, record, _ in self._found if record is not None]
        if not records:
            raise HarnessError(f"no run could be made; the first says: {self._found[0][2]}")
        scored = {score.split for score in records[0].scores}
        for split in (asked,) if asked else SPLITS:
            if split in scored:
                return split
        raise HarnessError(
            f"{asked or 'nothing'} was not scored; there is {', '.join(sorted(scored))}"
        )

    def record(self, spec: RunSpec) -> ResultRecord | None:
        """Return the record of a run, None where there is none."""
        return self._record(spec)[0]

    def _record(self, spec: RunSpec) -> tuple[ResultRecord | None, str]:
        return next(
            ((record, reason) for made, record, reason in self._found if made == spec),
            (None, "was not run"),
        )


def answers(spec: RunSpec, record: ResultRecord, split: str) -> KeptPredictions:
    """Return what a run said of a split under its own views, the last of its protocols."""
    protocols = [score.protocol for score in record.scores if score.split == split]
    return kept_predictions(spec.home, record, split, protocols[-1])


def _difference(pairs: Sequence[Sequence[KeptPredictions]], k: int, sign: int) -> Interval:
    more, less = (
        np.stack([_right(pair[side], pairs[0][0], k) for pair in pairs]) for side in (0, 1)
    )
    return paired_difference(more, less) if sign > 0 else paired_difference(less, more)


def _right(kept: KeptPredictions, like: KeptPredictions, k: int) -> NDArray[np.bool_]:
    if not np.array_equal(kept.files, like.files):
        raise HarnessError("the runs were scored on different pictures; the data set was changed")
    return kept.right(k)
