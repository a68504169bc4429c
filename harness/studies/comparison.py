"""Compare two methods or two runs on the same test images: overall, and per category."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from harness.errors import HarnessError, unknown
from harness.scores import METRICS, PLAIN, SPLITS, Metric
from harness.statistics.intervals import paired_difference
from harness.statistics.paired import bootstrap_mean, false_discovery_rates, mcnemar
from harness.store.record import ResultRecord
from harness.studies.pairs import Answers, Run, SeedsByImages, shared_seeds, shared_split
from harness.studies.run_comparison import Category, RunComparison, SeedPair


class Side(NamedTuple):
    """One side of a comparison: its name, and its runs, one for each seed."""

    name: str
    runs: tuple[Run, ...]


def compare_runs(
    before: Side,
    after: Side,
    *,
    split: str | None = None,
    protocol: str = PLAIN,
    metric: Metric = "top1",
    names: Sequence[str] = (),
) -> RunComparison:
    """Compare two sides image by image on the seeds that both have.

    Two single runs may have different seeds. ``names`` are the names of the categories, by label;
    without them the categories have numbers only.

    Raises:
        HarnessError: The sides share a run, ran on different data, share no seed, or have no score
            under the same terms; or predictions are missing; or the metric is unknown.
    """
    if metric not in METRICS:
        raise HarnessError(unknown("metric", metric, METRICS))
    _check_different(before, after)
    pairs = _paired(before, after)
    records = [run.record for pair in pairs for run in pair]
    _check_data(records)
    split = _split(records, split, protocol)
    answers = Answers()
    before_SN, after_SN = (
        answers.correct([(run, protocol) for run in side], split, metric)
        for side in zip(*pairs, strict=True)
    )
    labels = answers.labels(split)
    return RunComparison(
        before=before.name,
        after=after.name,
        edition=records[0].data.edition,
        split=split,
        protocol=protocol,
        metric=metric,
        images=len(labels),
        pairs=tuple(
            _seed_pair((one.record.seed, other.record.seed), *correct)
            for (one, other), *correct in zip(pairs, before_SN, after_SN, strict=True)
        ),
        difference=paired_difference(after_SN, before_SN),
        categories=_categories(before_SN, after_SN, labels, names),
    )


def _check_different(before: Side, after: Side) -> None:
    theirs = {run.record.id for run in after.runs}
    for run in before.runs:
        if run.record.id in theirs:
            raise HarnessError(
                f"{before.name!r} and {after.name!r} both have the run {run.record.id}, which "
                "cannot differ from itself; name two runs, or two rows of the board"
            )


def _paired(before: Side, after: Side) -> list[tuple[Run, Run]]:
    if len(before.runs) == len(after.runs) == 1:
        return [(before.runs[0], after.runs[0])]
    one, other = ({run.record.seed: run for run in side.runs} for side in (before, after))
    seeds = shared_seeds(one, other)
    if not seeds:
        raise HarnessError(
            f"{before.name!r} (seeds {_listed(one)}) and {after.name!r} (seeds {_listed(other)}) "
            "share no seed; run one with a seed of the other, or name one record of each"
        )
    return [(one[seed], other[seed]) for seed in seeds]


def _listed(seeds: Iterable[int]) -> str:
    return ", ".join(map(str, seeds))


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
    """Return the split to compare on; raises HarnessError if a run was not scored on it."""
    terms = [{(score.split, score.protocol) for score in record.scores} for record in records]
    shared = set.intersection(*terms)
    split = shared_split(records, protocol) if asked is None else asked
    if split is not None and (split, protocol) in shared:
        return split
    listed = [f"{found}, {its_protocol}" for found, its_protocol in shared] or ["nothing"]
    named = SPLITS[0] if split is None else split
    raise HarnessError(unknown("score", f"{named}, {protocol}", listed, listing="both runs have"))


def _seed_pair(
    seeds: tuple[int, int], before: NDArray[np.bool_], after: NDArray[np.bool_]
) -> SeedPair:
    gained, lost = int((after & ~before).sum()), int((before & ~after).sum())
    return SeedPair(
        seeds, float(before.mean()), float(after.mean()), gained, lost, mcnemar(gained, lost)
    )


def _categories(
    before_SN: SeedsByImages,
    after_SN: SeedsByImages,
    labels: NDArray[np.int32],
    names: Sequence[str],
) -> tuple[Category, ...]:
    seeds = len(before_SN)
    # Integers, so that images with equal changes are equal values to the bootstrap.
    steps = after_SN.astype(np.int32).sum(axis=0) - before_SN.sum(axis=0, dtype=np.int32)
    order = np.argsort(labels, kind="stable")
    classes, starts = np.unique(labels[order], return_index=True)
    rows = np.split(order, starts[1:])
    counts = [(int((steps[own] > 0).sum()), int((steps[own] < 0).sum())) for own in rows]
    p_values = [mcnemar(*count) for count in counts]
    bootstrap = cache(_bootstrap)  # many of thousands of categories have the same changes
    found = []
    for label, own, count, p, q in zip(
        classes.tolist(), rows, counts, p_values, false_discovery_rates(p_values), strict=True
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
