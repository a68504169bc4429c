"""Rows of records grouped over their seeds: mean, standard deviation, and published reference."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from statistics import fmean, stdev
from typing import Literal

from harness.scores import Epoch
from harness.store.groups import Group, size_of
from harness.store.origins import Origin
from harness.store.record import NoiseQuality, ResultRecord, Score
from harness_leaderboard.published import PublishedRow, corresponding
from harness_leaderboard.rows import BoardRow, NoiseRow


def measured_rows(
    groups: Iterable[Group],
    published: Iterable[PublishedRow],
    epochs: Iterable[Epoch],
    unverified: Collection[str] | None = None,
    origins: Mapping[str, Origin] | None = None,
) -> list[BoardRow]:
    """Return one row per group, split, protocol and epoch, with the published row it reproduces.

    ``unverified`` are the ids of records whose predictions were not scored again; None if none was
    checked. ``origins`` says where records came from that others made, by id.
    """
    published, epochs = list(published), set(epochs)
    rows = []
    for group in groups:
        references = corresponding(group.newest, published)
        terms = dict.fromkeys(
            (score.split, score.protocol, score.epoch)
            for record in group.records
            for score in record.scores
            if score.epoch in epochs
        )
        for split, protocol, epoch in terms:
            pairs = [
                (record, score)
                for record in group.records
                if (score := record.score(split, protocol, epoch)) is not None
            ]
            row = _row([record for record, _ in pairs], [score for _, score in pairs])
            reference = _reference(references, (row.edition, split, protocol))
            if row.size == "full" and reference is not None:
                row = _beside(row, reference)
            rows.append(
                replace(
                    row,
                    method=group.name,
                    verified=_verified([record.id for record, _ in pairs], unverified),
                    submitted=_sources([record.id for record, _ in pairs], origins or {}),
                )
            )
    return rows


def _verified(ids: Sequence[str], unverified: Collection[str] | None) -> Literal["", "yes", "no"]:
    if unverified is None:
        return ""
    return "no" if set(ids) & set(unverified) else "yes"


def _sources(ids: Sequence[str], origins: Mapping[str, Origin]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(origins[name].source for name in ids if name in origins))


def _row(records: list[ResultRecord], scores: list[Score]) -> BoardRow:
    """Average the scores of one group under one split, protocol and epoch."""
    first, score = records[0], scores[0]

    def percent(value: Callable[[Score], float]) -> float:
        return 100 * fmean(map(value, scores))

    def spread(value: Callable[[Score], float]) -> float | None:
        return 100 * stdev(map(value, scores)) if len(scores) > 1 else None

    return BoardRow(
        edition=first.data.edition,
        split=score.split,
        protocol=score.protocol,
        kind="measured",
        method="",
        top1_percent=percent(lambda score: score.top1),
        top5_percent=percent(lambda score: score.top5),
        top1_sd=spread(lambda score: score.top1),
        top5_sd=spread(lambda score: score.top5),
        top1_class_mean_percent=percent(lambda score: score.top1_class_mean),
        top5_class_mean_percent=percent(lambda score: score.top5_class_mean),
        epoch=score.epoch,
        n_seeds=len(records),
        seeds=tuple(record.seed for record in records),
        device_seconds=fmean(record.cost.device_seconds for record in records),
        size=size_of(first),
        plugin=first.plugin,
        knobs=" ".join(f"{name}={knob.value}" for name, knob in first.knobs.items()),
        fingerprint=first.data.scored_on(score.split),
    )


def _reference(
    references: Iterable[PublishedRow], terms: tuple[str, str, str]
) -> PublishedRow | None:
    """Return the published row of this edition and split, of this protocol if there is one."""
    edition, split, protocol = terms
    same = [row for row in references if (row.edition, row.split) == (edition, split)]
    return max(same, key=lambda row: row.protocol == protocol, default=None)


def _beside(row: BoardRow, reference: PublishedRow) -> BoardRow:
    top1, top5 = reference.top1_percent, reference.top5_percent
    return replace(
        row,
        reference=f"{reference.edition} {reference.split}, {reference.protocol}",
        reference_top1_percent=None if top1 is None else float(top1),
        reference_top5_percent=None if top5 is None else float(top5),
    )


def noise_rows(
    groups: Iterable[Group], origins: Mapping[str, Origin] | None = None
) -> list[NoiseRow]:
    """Return one row per group and stage whose weights were compared with the true labels.

    ``origins`` says where records came from that others made, by id.
    """
    rows = []
    for group in groups:
        by_stage: dict[str, list[tuple[str, NoiseQuality]]] = defaultdict(list)
        for record in group.records:
            for quality in record.noise:
                by_stage[quality.stage].append((record.id, quality))
        for stage, found in by_stage.items():
            qualities = [quality for _, quality in found]
            rows.append(
                NoiseRow(
                    edition=group.settings["edition"],
                    method=group.name,
                    stage=stage,
                    n_seeds=len(qualities),
                    auc=_mean(quality.auc for quality in qualities),
                    precision=_mean(quality.precision for quality in qualities),
                    recall=_mean(quality.recall for quality in qualities),
                    kept=_mean(quality.kept for quality in qualities),
                    rare_clean_lost=_mean(quality.rare_clean_lost for quality in qualities),
                    clean=_mean(quality.clean for quality in qualities),
                    fingerprint=group.settings["data"],
                    submitted=_sources([name for name, _ in found], origins or {}),
                )
            )
    return rows


def _mean(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return fmean(known) if known else None
