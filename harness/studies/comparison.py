"""Two methods or two runs on the same test images: overall, and category by category."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from html import escape
from pathlib import Path
from typing import Literal, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from harness.errors import HarnessError, unknown
from harness.statistics.intervals import Interval, paired_difference
from harness.statistics.paired import bootstrap_mean, mcnemar
from harness.store.record import ResultRecord
from harness.studies.comparison_text import comparison_text
from harness.testing.predictions import StoredPredictions, load_predictions

Metric: TypeAlias = Literal["top1", "top5"]
K: dict[Metric, int] = {"top1": 1, "top5": 5}
PLAIN = "1 view"
SPLITS = ("test", "val", "ilsvrc")  # the first that both were scored on, where none is asked for

Right: TypeAlias = NDArray[np.bool_]


class Run(NamedTuple):
    """A record, and the folder under which its predictions lie."""

    record: ResultRecord
    home: Path


class Side(NamedTuple):
    """One side of a comparison: its name, and its runs, one for each seed."""

    name: str
    runs: tuple[Run, ...]


class SeedPair(NamedTuple):
    """One run of each side: images right in shares, gained and lost ones, McNemar's p-value."""

    seeds: tuple[int, int]
    before: float
    after: float
    gained: int
    lost: int
    p_value: float


@dataclass(frozen=True, kw_only=True)
class Category:
    """How one category fared, in shares, over all its images and all seeds.

    ``low`` to ``high`` is the 95 % interval of the paired bootstrap over its images, each with its
    mean over the seeds. ``gained`` images are right after more often than before, ``lost`` ones
    less often. ``p_value`` is the sign test on these, which is McNemar's where there is one seed;
    ``q_value`` is adjusted for the number of categories (Benjamini and Hochberg).
    """

    label: int
    name: str
    images: int
    before: float
    after: float
    difference: float
    low: float
    high: float
    gained: int
    lost: int
    p_value: float
    q_value: float


@dataclass(frozen=True, kw_only=True, repr=False)
class RunComparison:
    """What changed from one side to the other under one split, protocol and metric.

    The interval of ``difference`` covers the choice of seeds and images; with one seed, that of
    images only.

    **Source:** Malong deck, "Comparisons: Model B & D": categories improved, reduced and unchanged,
    top positive and top negative ones. Intervals and p-values are our addition.
    """

    before: str
    after: str
    edition: str
    split: str
    protocol: str
    metric: Metric
    images: int
    pairs: tuple[SeedPair, ...]
    difference: Interval
    categories: tuple[Category, ...]

    def __repr__(self) -> str:
        """Return the text of ``harness compare``."""
        return comparison_text(self)

    def _repr_html_(self) -> str:
        return f"<pre>{escape(repr(self))}</pre>"

    @property
    def improved(self) -> int:
        """The number of categories that rose."""
        return sum(one.difference > 0 for one in self.categories)

    @property
    def reduced(self) -> int:
        """The number of categories that fell."""
        return sum(one.difference < 0 for one in self.categories)

    @property
    def unchanged(self) -> int:
        """The number of categories with as many right answers as before."""
        return len(self.categories) - self.improved - self.reduced

    def top(self, count: int, *, positive: bool) -> tuple[Category, ...]:
        """Return the ``count`` categories, or as many as there are, that rose or fell most."""
        sign = 1 if positive else -1
        moved = [one for one in self.categories if sign * one.difference > 0]
        moved.sort(key=lambda one: (-sign * one.difference, one.p_value, one.label))
        return tuple(moved[:count])


def compare_runs(
    before: Side,
    after: Side,
    *,
    split: str | None = None,
    protocol: str = PLAIN,
    metric: Metric = "top1",
    names: Sequence[str] = (),
) -> RunComparison:
    """Compare two sides image by image on the seeds that both have; two single runs as they are.

    ``names`` are the categories' by label; without them they have numbers only.

    Raises:
        HarnessError: The sides ran on different data, share no seed, or were not scored alike; or
            predictions are missing.
    """
    pairs = _paired(before, after)
    first = pairs[0][0].record
    _check_data([run.record for pair in pairs for run in pair])
    split = _split([run.record for pair in pairs for run in pair], split, protocol)
    kept = [
        (
            load_predictions(one.home, one.record, split, protocol),
            load_predictions(other.home, other.record, split, protocol),
        )
        for one, other in pairs
    ]
    labels = kept[0][0].labels
    copies = {run.record.data.tested.get(split) for pair in pairs for run in pair}
    _check_images(copies, [one for pair in kept for one in pair], split)
    before_SN = np.stack([one.correct(K[metric]) for one, _ in kept])
    after_SN = np.stack([other.correct(K[metric]) for _, other in kept])
    return RunComparison(
        before=before.name,
        after=after.name,
        edition=first.data.edition,
        split=split,
        protocol=protocol,
        metric=metric,
        images=len(labels),
        pairs=tuple(
            _seed_pair((one.record.seed, other.record.seed), *right)
            for (one, other), right in zip(
                pairs, zip(before_SN, after_SN, strict=True), strict=True
            )
        ),
        difference=paired_difference(after_SN, before_SN),
        categories=_categories(before_SN, after_SN, labels, names),
    )


def _paired(before: Side, after: Side) -> list[tuple[Run, Run]]:
    if len(before.runs) == len(after.runs) == 1:
        return [(before.runs[0], after.runs[0])]
    after_by_seed = {run.record.seed: run for run in after.runs}
    pairs = [
        (run, after_by_seed[run.record.seed])
        for run in before.runs
        if run.record.seed in after_by_seed
    ]
    if not pairs:
        seeds = [", ".join(str(run.record.seed) for run in side.runs) for side in (before, after)]
        raise HarnessError(
            f"{before.name!r} (seeds {seeds[0]}) and {after.name!r} (seeds {seeds[1]}) share no "
            "seed; run one with a seed of the other, or name one record of each"
        )
    return pairs


def _check_data(records: Sequence[ResultRecord]) -> None:
    for record in records[1:]:
        first = records[0].data
        if record.data.edition != first.edition:
            raise HarnessError(
                f"runs on different data cannot be compared: {records[0].id} ran on "
                f"{first.edition}, {record.id} on {record.data.edition}"
            )
        if record.data.fingerprint != first.fingerprint:
            raise HarnessError(
                f"runs on different copies of {first.edition} cannot be compared: {records[0].id} "
                f"has fingerprint {first.fingerprint[:12]}, {record.id} "
                f"{record.data.fingerprint[:12]}"
            )


def _split(records: Sequence[ResultRecord], asked: str | None, protocol: str) -> str:
    """Return the split to compare on; raises HarnessError where a run was not scored on it."""
    terms = [{(s.split, s.protocol) for s in record.scores} for record in records]
    shared = set.intersection(*terms)
    known = [split for split in SPLITS if (split, protocol) in shared]
    if asked is None and known:
        return known[0]
    if asked is not None and (asked, protocol) in shared:
        return asked
    listed = [f"{split}, {found}" for split, found in shared] or ["nothing"]
    raise HarnessError(
        unknown("score", f"{asked or SPLITS[0]}, {protocol}", listed, listing="both runs have")
    )


def _check_images(copies: set[str | None], kept: Sequence[StoredPredictions], split: str) -> None:
    """Refuse runs on other names or labels, or on other pictures of the same names."""
    files, labels = kept[0].files, kept[0].labels
    same = all(np.array_equal(k.files, files) and np.array_equal(k.labels, labels) for k in kept)
    if len(copies) > 1 or not same:
        raise HarnessError(
            f"the runs were scored on different pictures or labels of {split}; "
            "run one of them again on the other's copy of the data"
        )


def _seed_pair(seeds: tuple[int, int], before: Right, after: Right) -> SeedPair:
    gained, lost = int((after & ~before).sum()), int((before & ~after).sum())
    return SeedPair(
        seeds, float(before.mean()), float(after.mean()), gained, lost, mcnemar(gained, lost)
    )


def _categories(
    before_SN: Right, after_SN: Right, labels: NDArray[np.int32], names: Sequence[str]
) -> tuple[Category, ...]:
    from scipy.stats import false_discovery_control

    seeds = len(before_SN)
    # Whole numbers, so that images that fared alike are alike to the bootstrap.
    steps = after_SN.astype(np.int32).sum(axis=0) - before_SN.sum(axis=0, dtype=np.int32)
    order = np.argsort(labels, kind="stable")
    classes, starts = np.unique(labels[order], return_index=True)
    rows = np.split(order, starts[1:])
    counts = [(int((steps[own] > 0).sum()), int((steps[own] < 0).sum())) for own in rows]
    p_values = [mcnemar(*count) for count in counts]
    bootstrap = cache(_bootstrap)  # of thousands of categories, many fared alike
    found = []
    for label, own, count, p, q in zip(
        classes.tolist(), rows, counts, p_values, false_discovery_control(p_values), strict=True
    ):
        low, high = (bound / seeds for bound in bootstrap(tuple(sorted(steps[own].tolist()))))
        found.append(
            Category(
                label=label,
                name=names[label] if label < len(names) else "",
                images=len(own),
                before=float(before_SN[:, own].mean()),
                after=float(after_SN[:, own].mean()),
                difference=int(steps[own].sum()) / (seeds * len(own)),
                low=low,
                high=high,
                gained=count[0],
                lost=count[1],
                p_value=p,
                q_value=float(q),
            )
        )
    return tuple(found)


def _bootstrap(steps: tuple[int, ...]) -> tuple[float, float]:
    return bootstrap_mean(steps)
