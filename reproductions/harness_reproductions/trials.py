"""The runs behind published rows: which to make, and which test images they have correct."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
from numpy.typing import NDArray

from harness.scores import PLAIN, Metric
from harness.spec import RunSpec
from harness.store.record import ResultRecord
from harness.studies.pairs import Answers, Run, shared_seeds, shared_split
from harness_reproductions.decks.claims import Claim
from harness_reproductions.decks.rows import Protocol, Table, cli_options

if TYPE_CHECKING:
    from harness.statistics.intervals import Interval

Key: TypeAlias = tuple[str, tuple[tuple[str, str], ...]]
"""A recipe as a run names it: the plugin's name and its knobs."""


def key_of(recipe: object) -> Key:
    """Return the key of a recipe; equal recipes of several tables have one key and run once."""
    name, knobs = cli_options(recipe)
    return name, tuple(sorted(knobs.items()))


@dataclass(frozen=True, kw_only=True)
class Trial:
    """The runs of one recipe, by seed, and the reasons why others failed."""

    records: Mapping[int, ResultRecord] = field(default_factory=dict)
    reasons: tuple[str, ...] = ()

    @property
    def networks(self) -> frozenset[tuple[str, ...]]:
        """The keys of the tested stages and how they are combined, for every seed.

        They are equal for two recipes that a profile shrinks to the same stages.
        """
        found = set()
        for record in self.records.values():
            keys = {stage.name: stage.key for stage in record.stages}
            found.add((*sorted(keys[name] for name in record.members), record.combine))
        return frozenset(found)

    def protocol(self, published: Protocol) -> str:
        """Return the protocol of our runs that corresponds to a published one.

        It is the plain view if the deck does not state a protocol. For a challenge entry, or if the
        table names views, it is the method's own.
        """
        own = [score.protocol for record in self.records.values() for score in record.scores]
        several = [protocol for protocol in dict.fromkeys(own) if protocol != PLAIN]
        return several[0] if several and published not in ("unstated", PLAIN) else PLAIN

    def split(self) -> str:
        """Return "test" if the runs were scored on it, else "val"."""
        return shared_split(self.records.values()) or "val"


class Trials:
    """All runs of a reproduction: recipes by seeds on one data set."""

    def __init__(self, plain: RunSpec, seeds: Sequence[int], recipes: Iterable[object]) -> None:
        """Take the recipes to run, and ``plain``, a spec without plugin, knobs and seed."""
        self.plain, self.seeds = plain, tuple(seeds)
        self._keys = tuple(dict.fromkeys(map(key_of, recipes)))
        self._trials: dict[Key, Trial] = {key: Trial() for key in self._keys}
        self._answers = Answers()

    def specs(self) -> list[RunSpec]:
        """Return the runs, seed by seed, so that all rows have the same seeds if stopped early."""
        return [
            replace(self.plain, plugin=plugin, knobs=dict(knobs), seed=seed)
            for seed in self.seeds
            for plugin, knobs in self._keys
        ]

    def add(self, spec: RunSpec, record: ResultRecord | None, reason: str = "") -> bool:
        """Add the outcome of one run; return whether it has a record."""
        key = (spec.plugin, tuple(sorted(spec.knobs.items())))
        trial = self._trials[key]
        if record is not None:
            trial = replace(trial, records={**trial.records, spec.seed: record})
        else:
            reasons = dict.fromkeys((*trial.reasons, reason))
            trial = replace(trial, reasons=tuple(reasons))
        self._trials[key] = trial
        return record is not None

    def __getitem__(self, recipe: object) -> Trial:
        return self._trials.get(key_of(recipe), Trial())

    def by_category(
        self, recipe: object, protocol: Protocol, metric: Metric, seeds: Sequence[int]
    ) -> NDArray[np.float64]:
        """Return the accuracy of every category, ``(K,)``, averaged over these seeds."""
        trial = self[recipe]
        rows = []
        for seed in seeds:
            score = trial.records[seed].score(trial.split(), trial.protocol(protocol))
            shares = () if score is None else getattr(score, f"per_class_{metric}")
            rows.append([np.nan if share is None else share for share in shares])
        return np.asarray(np.mean(rows, axis=0), np.float64)

    def records(self) -> list[ResultRecord]:
        """Return every record, in the order of the recipes."""
        return [record for trial in self._trials.values() for record in trial.records.values()]

    def shared_seeds(self, better: object, worse: object) -> tuple[int, ...]:
        """Return the seeds for which both recipes have a run."""
        return shared_seeds(self[better].records, self[worse].records)

    def correct(
        self, recipe: object, protocol: Protocol, metric: Metric, seeds: Sequence[int]
    ) -> NDArray[np.bool_]:
        """Return whether each test image is classified correctly, ``(S, N)``, under its protocol.

        Raises HarnessError if a record's predictions are missing or damaged, or are of other images
        than those of the runs before.
        """
        trial = self[recipe]
        ours = trial.protocol(protocol)
        runs = [(Run(trial.records[seed], self.plain.home), ours) for seed in seeds]
        return self._answers.correct(runs, trial.split(), metric)

    def accuracy(self, recipe: object, protocol: Protocol, metric: Metric) -> Interval | None:
        """Return a recipe's accuracy over its seeds with its interval; None if it has no run."""
        from harness.statistics.intervals import mean_accuracy

        seeds = tuple(self[recipe].records)
        if not seeds:
            return None
        return mean_accuracy(self.correct(recipe, protocol, metric, seeds))


def recipes_of(tables: Iterable[Table], claims: Iterable[Claim]) -> list[object]:
    """Return the recipes of tables and of both sides of claims, without rows that have none."""
    rows = [row for table in tables for row in table.rows]
    rows += [row for claim in claims for row in (claim.better, claim.worse)]
    return [row.recipe for row in rows if row.recipe is not None]
