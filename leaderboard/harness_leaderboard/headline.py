"""The headline board as values: the methods measured on one data set, and who can be told apart.

The command line, ``harness.leaderboard()`` and pages all show these rows, so no two can disagree:

    board = make_headline(records, home)        # records that verified_records(home, ...) kept
    board.data, board.split                     # the data set (how --data spells it) and the split
    for row in board.rows:                      # best first
        row.rank, row.group, row.method         # (1, 3), "ab", "pci row=B2"
        row.top1, row.over_baseline             # Span(estimate, low, high), or None
    row.baseline                            # the row that over_baseline is taken from, by name
        row.records                             # the ids of its runs, one for each seed
    told_apart_in_words(board)                  # what "told apart" means, for under a table

All rows share the data set (edition, training data and tested images) and the split; each is scored
under the method's own protocol, the views that the method itself tests with. Published numbers are
never among them.

**Which weights.** Without ``epoch``, a row has the scores of the last epoch or, if the tested
stages keep an average of their weights, of that average. Either is fixed by the method before any
score is seen. The best epoch is chosen by looking at val: it is shown only if it is asked for.

**Which baseline.** A difference is from the baseline with the budget of the row: see
``harness_leaderboard.baselines``. Without one there is no difference, and a note says so.

**Who can be told apart.** Every two rows with at least ``ENOUGH_SEEDS`` shared seeds are compared
as ``harness compare`` compares them: the paired difference in top-1 over seeds and images. Their
p-values (``p_value_among_many``) are adjusted together (Holm); below ``LEVEL`` the pair is told
apart. A row's best rank is 1 plus the number of rows told apart above it, its worst rank the number
of rows less those told apart below it. Rows that share a letter of ``group`` cannot be told apart.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import Literal, NamedTuple, TypeAlias

import numpy as np

from harness.errors import HarnessError, unknown
from harness.scores import SPLITS, Epoch, Metric
from harness.statistics.intervals import Interval, mean_accuracy
from harness.store.data_names import DataSet, data_set, of_data
from harness.store.groups import Group, group_runs, size_of
from harness.store.origins import Origin
from harness.store.record import ResultRecord
from harness.studies.pairs import Answers, Run, SeedsByImages, own_protocol
from harness_leaderboard.baselines import BASELINE, fitting, missing_baseline, terms_of
from harness_leaderboard.headline_board import HeadlineBoard, HeadlineRow, Span
from harness_leaderboard.separation import (
    Outcome,
    Separation,
    against,
    difference,
    groups_of,
    ranks_of,
    separate,
)
from harness_leaderboard.told import from_outside, images_seen, noise_auc

EpochChoice: TypeAlias = Literal["last", "best", "averaged", "all"]


class _Entry(NamedTuple):
    """A group of runs under the terms of its row; ``correct`` is by seed."""

    group: Group
    records: tuple[ResultRecord, ...]
    protocol: str
    epoch: Epoch
    percent: dict[Metric, float]
    correct: dict[int, SeedsByImages]
    problem: str


def make_headline(  # noqa: PLR0913 - one parameter per choice
    records: Iterable[ResultRecord],
    home: Path,
    *,
    data: str | None = None,
    split: str | None = None,
    epoch: EpochChoice | None = None,
    methods: Sequence[str] = (),
    unverified: Collection[str] | None = None,
    origins: Mapping[str, Origin] | None = None,
    answers: Answers | None = None,
) -> HeadlineBoard:
    """Compute the board of one data set, by default that of the newest run.

    ``home`` holds the predictions of the records. ``data`` is a data set as ``harness run --data``
    spells it, or the beginning of an edition. ``split`` is by default the first of test, val and
    ilsvrc that was scored. ``methods`` keeps the rows whose plugin, label or name is one of these.
    ``unverified`` are the ids of records whose predictions were not scored again; None if none was
    checked. ``origins`` says where records came from that others made, by id. ``answers`` reads
    predictions; give one to read them in another way.

    Raises:
        HarnessError: There are no records, or none of this data, split, epoch or method.
    """
    scored = (record for record in records if record.scores)
    known = sorted(scored, key=lambda record: (record.cost.created, record.id), reverse=True)
    if not known:
        raise HarnessError("nothing is measured yet; to begin: harness run --plugin baseline")
    newest = (of_data(known, data) if data else known)[0]
    split = split or _splits(newest)[0]
    chosen = data_set(newest.data, split)
    kept = [record for record in known if data_set(record.data, split) == chosen]
    groups, notes = group_runs(kept)
    answers = answers or Answers()
    entries = [
        _entry(group, terms, home, split, answers)
        for group in _called(groups, methods)
        for terms in _terms(group, split, epoch)
    ]
    if not entries:
        raise HarnessError(_nothing(kept, chosen, split, epoch))
    entries.sort(key=lambda one: (-one.percent["top1"], one.group.name, one.epoch))
    found = separate([entry.correct for entry in entries])
    baselines = fitting([(entry.group.newest, _worth(entry)) for entry in entries])
    outcomes = against(found, baselines)
    rows = tuple(_rows(entries, found, (baselines, outcomes), unverified, origins or {}))
    return HeadlineBoard(
        data=chosen,
        split=split,
        images=next(s.images for s in entries[0].records[0].scores if s.split == split),
        rows=rows,
        baseline=_most_served(rows),
        tested=len(found.p_values),
        told_apart=len(found.better),
        against=len(outcomes),
        others=_others(known, chosen),
        notes=(
            *_namesakes(known, chosen),
            *_on_baselines(rows, entries, baselines),
            *(note for _, note in notes),
            *filter(None, (entry.problem for entry in entries)),
        ),
    )


def _splits(record: ResultRecord) -> list[str]:
    """Return the splits that a record was scored on, those of ``SPLITS`` first."""
    scored = dict.fromkeys(score.split for score in record.scores)
    return [
        *(split for split in SPLITS if split in scored),
        *(s for s in scored if s not in SPLITS),
    ]


def _namesakes(known: Sequence[ResultRecord], chosen: DataSet) -> Iterable[str]:
    """Yield a line if runs of the same name met other files: they are not shown."""
    found = {
        record.data.fingerprint
        for record in known
        if (record.data.asked or record.data.edition) == chosen.asked
    }
    if len(found) > 1:
        yield (
            f"The runs used {len(found)} different copies of {chosen.asked}: this board is of the "
            f"newest run's, {chosen.edition}."
        )


def _others(known: Sequence[ResultRecord], chosen: DataSet) -> tuple[DataSet, ...]:
    found = [data_set(record.data, _splits(record)[0]) for record in known]
    by_name = {other.asked: other for other in reversed(found)}
    newest_first = dict.fromkeys(other.asked for other in found if other.asked != chosen.asked)
    return tuple(by_name[name] for name in newest_first)


def _called(groups: Sequence[Group], methods: Sequence[str]) -> list[Group]:
    """Return the groups that one of the names names; all without names."""
    if not methods:
        return list(groups)
    names = [
        {group.name, group.newest.plugin, *(record.label for record in group.records)}
        for group in groups
    ]
    for method in methods:
        if not any(method in own for own in names):
            known = {name for own in names for name in own}
            raise HarnessError(unknown("method", method, known, listing="on the board"))
    return [g for g, own in zip(groups, names, strict=True) if own & set(methods)]


def _terms(group: Group, split: str, epoch: EpochChoice | None) -> Sequence[tuple[str, Epoch]]:
    """Return protocol and epoch of each row of a group."""
    record = group.newest
    if not any(score.split == split for score in record.scores):
        return []
    protocol = own_protocol(record, split)
    epochs: tuple[Epoch, ...] = ("averaged", "last", "best")
    scored = [e for e in epochs if all(r.score(split, protocol, e) for r in group.records)]
    if epoch is None:  # the average, if the method keeps one; else the last
        return [(protocol, own) for own in scored if own != "best"][:1]
    return [(protocol, own) for own in scored if epoch in (own, "all")]


def _entry(
    group: Group, terms: tuple[str, Epoch], home: Path, split: str, answers: Answers
) -> _Entry:
    protocol, epoch = terms
    scores = [score for r in group.records if (score := r.score(split, protocol, epoch))]
    correct, problem = {}, ""
    try:
        correct = {
            record.seed: answers.correct([(Run(record, home), protocol)], split, "top1", epoch)
            for record in group.records
        }
    except HarnessError as error:
        problem = f"{group.name}: not tested: {error}"
    return _Entry(
        group,
        group.records,
        protocol,
        epoch,
        {
            "top1": 100 * fmean(score.top1 for score in scores),
            "top5": 100 * fmean(score.top5 for score in scores),
        },
        correct,
        problem,
    )


def _nothing(
    kept: Sequence[ResultRecord], chosen: DataSet, split: str, epoch: EpochChoice | None
) -> str:
    scored = sorted({f"{score.split} {score.epoch}" for r in kept for score in r.scores})
    asked = " ".join(filter(None, [split, epoch]))
    return unknown(f"score on {chosen.asked}", asked, scored, listing="measured")


def _worth(entry: _Entry) -> float:
    """Return what speaks for a row among baselines of equal terms: seeds, and the fixed epoch."""
    return 2 * len(entry.correct) + (entry.epoch != "best")


def _most_served(rows: Sequence[HeadlineRow]) -> str:
    """Return the baseline that most rows are compared with, the unchanged one if none is."""
    served = Counter(row.baseline for row in rows if row.baseline)
    known = [row.method for row in rows if row.is_baseline]
    return max(known, key=lambda name: (served[name], name == BASELINE), default="")


def _on_baselines(
    rows: Sequence[HeadlineRow], entries: Sequence[_Entry], baselines: Sequence[int | None]
) -> Iterator[str]:
    """Yield which baselines differences are from, if there are several, and what has none."""
    by_baseline: dict[str, list[str]] = {}
    for row in rows:
        if row.baseline:
            by_baseline.setdefault(row.baseline, []).append(row.method)
    if len(by_baseline) > 1:
        said = (f"{', '.join(names)} from {name}" for name, names in by_baseline.items())
        yield f"Differences are from the baseline of the same budget: {'; '.join(said)}."
    if not any(entry.group.newest.plugin == BASELINE for entry in entries):
        return  # the table says how to run one
    alone = [
        (row, entry)
        for row, entry, baseline in zip(rows, entries, baselines, strict=True)
        if baseline is None and not row.is_baseline
    ]
    if alone:
        names = ", ".join(dict.fromkeys(row.method for row, _ in alone))
        yield (
            f"No difference is shown for {names}: no baseline has the same budget; to run one: "
            f"harness run {missing_baseline(alone[0][1].group.newest)}"
        )


def _rows(
    entries: Sequence[_Entry],
    found: Separation,
    beside: tuple[Sequence[int | None], Mapping[int, Outcome]],
    unverified: Collection[str] | None,
    origins: Mapping[str, Origin],
) -> Iterable[HeadlineRow]:
    """Yield the rows; ``beside`` has the place of each one's baseline, and the tests' outcomes."""
    count, (baselines, outcomes) = len(entries), beside
    groups, ranks = groups_of(count, found), ranks_of(count, found.better)
    serving = set(baselines)
    plain = next((one for one in entries if one.group.newest.label == BASELINE), None)
    for place, entry in enumerate(entries):
        newest, ids = entry.group.newest, tuple(record.id for record in entry.records)
        tables = list(entry.correct.values())
        own = baselines[place]
        baseline = None if own is None else entries[own]
        over = difference(entry.correct, baseline.correct) if baseline else None
        images = _mean(entry, images_seen)
        is_baseline = own is None and newest.plugin == BASELINE
        # A baseline with a budget of its own is compared with none, but costs more than the plain.
        cheapest = baseline or (plain if is_baseline else None)
        least = _mean(cheapest, images_seen) if cheapest else None
        sources = dict.fromkeys(origins[name].source for name in ids if name in origins)
        yield HeadlineRow(
            rank=ranks[place],
            group=groups[place],
            method=entry.group.name,
            plugin=newest.plugin,
            protocol=entry.protocol,
            epoch=entry.epoch,
            top1_percent=entry.percent["top1"],
            top1=_span(mean_accuracy(np.concatenate(tables))) if tables else None,
            over_baseline=_span(over) if over else None,
            outcome=outcomes.get(place, ""),
            is_baseline=is_baseline and (place in serving or not terms_of(newest).rest),
            baseline=baseline.group.name if baseline else "",
            top5_percent=entry.percent["top5"],
            noise_auc=_mean(entry, noise_auc),
            seeds=tuple(record.seed for record in entry.records),
            seconds=fmean(record.cost.device_seconds for record in entry.records),
            images=images,
            images_share=images / least if images and least else None,
            size=size_of(newest),
            verified=_verified(ids, unverified),
            external=from_outside(newest),
            records=ids,
            told_apart_from=tuple(o for o in range(count) if found.told_apart(place, o)),
            submitted=tuple(sources),
        )


def _span(interval: Interval) -> Span:
    estimate, low, high = (100 * s for s in (interval.estimate, interval.low, interval.high))
    return Span(estimate, low, high, interval.seeds > 1)


def _verified(ids: Sequence[str], unverified: Collection[str] | None) -> Literal["", "yes", "no"]:
    if unverified is None:
        return ""
    return "no" if set(ids) & set(unverified) else "yes"


def _mean(entry: _Entry, value: Callable[[ResultRecord], float | None]) -> float | None:
    """Return the mean over the seeds; None if one of them does not know it."""
    found = [value(record) for record in entry.records]
    known = [number for number in found if number is not None]
    return fmean(known) if len(known) == len(found) else None
