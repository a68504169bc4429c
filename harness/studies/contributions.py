"""What the runs of an ablation say of each trick."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from harness.errors import HarnessError
from harness.spec import RunSpec
from harness.statistics.intervals import Interval, paired_difference
from harness.store.record import ResultRecord
from harness.studies.ablation import Variant
from harness.testing.predictions import StoredPredictions, load_predictions

METRICS = {"top1": 1, "top5": 5}
SPLITS = ("test", "val", "ilsvrc")


@dataclass(frozen=True, kw_only=True)
class TrickEffect:
    """What a trick added on shared seeds and images, in shares; empty where ``reason`` says why."""

    intervals: Mapping[str, Interval]
    reason: str = ""


class Outcomes:
    """The records of an ablation's runs, or why there are none."""

    def __init__(self, found: Iterable[tuple[RunSpec, ResultRecord | None, str]]) -> None:
        self._found = list(found)

    def contribution(self, variant: Variant, seeds: Sequence[int], split: str) -> TrickEffect:
        """Return what a variant's trick is worth on the seeds of which both runs are there.

        Each run is scored under its method's own views, so that a trick of testing counts, too.
        """
        if variant.spec is None or variant.against is None:
            return TrickEffect(intervals={}, reason=variant.reason)
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
            return TrickEffect(intervals={}, reason=reasons[0])
        intervals = {name: _difference(pairs, k, variant.sign) for name, k in METRICS.items()}
        return TrickEffect(intervals=intervals, reason=reasons[0] if reasons else "")

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


def answers(spec: RunSpec, record: ResultRecord, split: str) -> StoredPredictions:
    """Return what a run said of a split under its own views, the last of its protocols."""
    protocols = [score.protocol for score in record.scores if score.split == split]
    return load_predictions(spec.home, record, split, protocols[-1])


def _difference(pairs: Sequence[Sequence[StoredPredictions]], k: int, sign: int) -> Interval:
    more, less = (
        np.stack([_right(pair[side], pairs[0][0], k) for pair in pairs]) for side in (0, 1)
    )
    return paired_difference(more, less) if sign > 0 else paired_difference(less, more)


def _right(kept: StoredPredictions, like: StoredPredictions, k: int) -> NDArray[np.bool_]:
    if not np.array_equal(kept.files, like.files):
        raise HarnessError("the runs were scored on different pictures; the data set was changed")
    return kept.correct(k)
