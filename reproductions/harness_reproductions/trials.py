"""The runs behind published rows: which to make, and what they said of every test image."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
from numpy.typing import NDArray

from harness.spec import RunSpec
from harness.store.record import ResultRecord
from harness.testing.predictions import load_predictions
from harness_reproductions.decks.claims import Claim
from harness_reproductions.decks.rows import Metric, Protocol, Table, cli_options

if TYPE_CHECKING:
    from harness.statistics.intervals import Interval

PLAIN = "1 view"
GUESSES: Mapping[Metric, int] = {"top1": 1, "top5": 5}

Key: TypeAlias = tuple[str, tuple[tuple[str, str], ...]]
"""A recipe as it is asked for: the plugin's name and its knobs."""


def key_of(recipe: object) -> Key:
    """Return what tells a recipe from others; equal recipes of several tables are run once."""
    name, knobs = cli_options(recipe)
    return name, tuple(sorted(knobs.items()))


@dataclass(frozen=True, kw_only=True)
class Trial:
    """The runs of one recipe, by seed, and why others could not be made."""

    records: Mapping[int, ResultRecord] = field(default_factory=dict)
    reasons: tuple[str, ...] = ()

    @property
    def networks(self) -> frozenset[tuple[str, ...]]:
        """The keys of the tested stages with the way they are joined, of every seed.

        Two recipes that a profile shrinks to the same stages have the same ones.
        """
        found = set()
        for record in self.records.values():
            keys = {stage.name: stage.key for stage in record.stages}
            found.add((*sorted(keys[name] for name in record.members), record.combine))
        return frozenset(found)

    def protocol(self, published: Protocol) -> str:
        """Return the protocol of our runs that a published one is compared under.

        What a deck leaves unstated is the plain view; a challenge entry, and the views that a table
        names, are the method's own.
        """
        own = [score.protocol for record in self.records.values() for score in record.scores]
        several = [protocol for protocol in dict.fromkeys(own) if protocol != PLAIN]
        return several[0] if several and published not in ("unstated", PLAIN) else PLAIN

    def split(self) -> str:
        """Return "test" where its labels are known, else "val"."""
        splits = {score.split for record in self.records.values() for score in record.scores}
        return "test" if "test" in splits else "val"


class Trials:
    """All runs of a reproduction: recipes by seeds on one data set."""

    def __init__(self, plain: RunSpec, seeds: Sequence[int], recipes: Iterable[object]) -> None:
        """Take ``plain``, which says all but plugin, knobs and seed, and the recipes to run."""
        self.plain, self.seeds = plain, tuple(seeds)
        self._keys = tuple(dict.fromkeys(map(key_of, recipes)))
        self._trials: dict[Key, Trial] = {key: Trial() for key in self._keys}
        self._right: dict[tuple[Key, str, int], NDArray[np.bool_]] = {}

    def specs(self) -> list[RunSpec]:
        """Return the runs, one seed after the other, so that all rows grow alike."""
        return [
            replace(self.plain, plugin=plugin, knobs=dict(knobs), seed=seed)
            for seed in self.seeds
            for plugin, knobs in self._keys
        ]

    def add(self, spec: RunSpec, record: ResultRecord | None, reason: str = "") -> bool:
        """Take in what one of the runs came to; return whether that is a record."""
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
        """Return the accuracy of every category, ``(K,)``, the mean over these seeds."""
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

    def right(
        self, recipe: object, protocol: Protocol, metric: Metric, seeds: Sequence[int]
    ) -> NDArray[np.bool_]:
        """Return whether each test image was answered rightly, ``(S, N)``, under its protocol.

        Raises HarnessError where a record's predictions are lost or damaged.
        """
        key, trial = key_of(recipe), self[recipe]
        ours = trial.protocol(protocol)
        rows = []
        for seed in seeds:
            place = (key, f"{ours} {metric}", seed)
            if place not in self._right:
                record = trial.records[seed]
                kept = load_predictions(self.plain.home, record, trial.split(), ours)
                self._right[place] = kept.correct(GUESSES[metric])
            rows.append(self._right[place])
        return np.stack(rows)

    def accuracy(self, recipe: object, protocol: Protocol, metric: Metric) -> Interval | None:
        """Return a recipe's accuracy over its seeds with its interval; None without any run."""
        from harness.statistics.intervals import mean_accuracy

        seeds = tuple(self[recipe].records)
        if not seeds:
            return None
        return mean_accuracy(self.right(recipe, protocol, metric, seeds))


def recipes_of(tables: Iterable[Table], claims: Iterable[Claim]) -> list[object]:
    """Return the recipes of tables and of both sides of claims; what is no recipe is left out."""
    rows = [row for table in tables for row in table.rows]
    rows += [row for claim in claims for row in (claim.better, claim.worse)]
    return [row.recipe for row in rows if row.recipe is not None]
