"""The contribution of each trick, computed from the runs of an ablation."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from harness.errors import HarnessError
from harness.scores import METRICS
from harness.spec import RunSpec
from harness.statistics.intervals import Interval, paired_difference
from harness.store.record import ResultRecord
from harness.studies.ablation import Variant
from harness.studies.pairs import Answers, Run, own_protocol, shared_seeds, shared_split


@dataclass(frozen=True, kw_only=True)
class TrickEffect:
    """What a trick adds on shared seeds and images, as shares, by metric.

    ``intervals`` is empty if there is none; ``reason`` then says why. Otherwise ``reason`` is the
    first missing run, or empty.
    """

    intervals: Mapping[str, Interval]
    reason: str = ""


class Outcomes:
    """The records of an ablation's runs, or the reasons why they are missing."""

    def __init__(self, found: Iterable[tuple[RunSpec, ResultRecord | None, str]]) -> None:
        self._found = list(found)
        self._answers = Answers()

    def contribution(self, variant: Variant, seeds: Sequence[int], split: str) -> TrickEffect:
        """Return what a variant's trick adds, on the seeds that have both runs.

        Each run is scored under its method's own views, so that testing tricks count too.
        """
        if variant.spec is None or variant.against is None:
            return TrickEffect(intervals={}, reason=variant.reason)
        sides: tuple[dict[int, tuple[Run, str]], ...] = ({}, {})
        reasons = []
        for seed in seeds:
            specs = (replace(variant.spec, seed=seed), replace(variant.against, seed=seed))
            for side, spec in zip(sides, specs, strict=True):
                record, reason = self._record(spec)
                if record is None:
                    reasons.append(f"{spec.label}, seed {seed}: {reason}")
                else:
                    side[seed] = Run(record, spec.home), own_protocol(record, split)
        shared = shared_seeds(*sides)
        if not shared:
            return TrickEffect(intervals={}, reason=reasons[0])
        intervals: dict[str, Interval] = {}
        for metric in METRICS:
            tables = [
                self._answers.correct([side[seed] for seed in shared], split, metric)
                for side in sides
            ]
            intervals[metric] = paired_difference(*tables[:: variant.sign])
        return TrickEffect(intervals=intervals, reason=reasons[0] if reasons else "")

    def split(self, asked: str | None) -> str:
        """Return the split to score on; raises HarnessError if the runs were not scored on it."""
        records = [record for _, record, _ in self._found if record is not None]
        if not records:
            raise HarnessError(f"no run finished; the first one failed: {self._found[0][2]}")
        scored = {score.split for score in records[0].scores}
        split = asked or shared_split(records[:1])
        if split is not None and split in scored:
            return split
        raise HarnessError(
            f"the runs were not scored on {asked or 'any split'}; scored: "
            f"{', '.join(sorted(scored)) or 'nothing'}; choose one of these with --split"
        )

    def record(self, spec: RunSpec) -> ResultRecord | None:
        """Return the record of a run, or None if there is none."""
        return self._record(spec)[0]

    def _record(self, spec: RunSpec) -> tuple[ResultRecord | None, str]:
        return next(
            ((record, reason) for made, record, reason in self._found if made == spec),
            (None, "was not run"),
        )
