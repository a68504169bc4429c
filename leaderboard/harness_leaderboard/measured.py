"""Rows of records grouped over their seeds: mean, standard deviation, and published reference."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import replace
from statistics import fmean, stdev
from typing import Literal

from harness.scores import Epoch
from harness.store.groups import Group, size_of
from harness.store.record import NoiseQuality, ResultRecord, Score
from harness_leaderboard.published import PublishedRow, corresponding
from harness_leaderboard.rows import BoardRow, NoiseRow


def measured_rows(
    groups: Iterable[Group],
    published: Iterable[PublishedRow],
    epochs: Iterable[Epoch],
    unverified: Collection[str] | None = None,
) -> list[BoardRow]:
    """Return one row per group, split, protocol and epoch, with the published row it reproduces.

    ``unverified`` are the ids of records whose predictions were not scored again; None if none was
    checked.
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
            where, numbers = _reference(references, (group.settings["edition"], split, protocol))
            rows.append(
                replace(
                    row,
                    method=group.name,
                    reference=where,
                    reference_percent=numbers,
                    verified=_verified([record.id for record, _ in pairs], unverified),
                )
            )
    return rows


def _verified(ids: Sequence[str], unverified: Collection[str] | None) -> Literal["", "yes", "no"]:
    if unverified is None:
        return ""
    return "no" if set(ids) & set(unverified) else "yes"


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
        seeds=" ".join(str(record.seed) for record in records),
        device_seconds=fmean(record.cost.device_seconds for record in records),
        size=size_of(first),
        plugin=first.plugin,
        knobs=" ".join(f"{name}={knob.value}" for name, knob in first.knobs.items()),
        fingerprint=first.data.scored_on(score.split),
    )


def _reference(references: list[PublishedRow], terms: tuple[str, str, str]) -> tuple[str, str]:
    """Return the terms and numbers of the published row, under the same terms if possible.

    On another edition, the published row of val is preferred, so that differences are of one split.
    """
    if not references:
        return "", ""
    edition, split, protocol = terms

    def nearness(row: PublishedRow) -> tuple[bool, bool, bool]:
        same_split = (row.edition, row.split) == (edition, split)
        return same_split, row.split == "val", row.protocol == protocol

    nearest = max(references, key=nearness)
    numbers = (nearest.top1_percent, nearest.top5_percent)
    return (
        f"{nearest.edition} {nearest.split}, {nearest.protocol}",
        " / ".join("-" if value is None else str(value) for value in numbers),
    )


def noise_rows(groups: Iterable[Group]) -> list[NoiseRow]:
    """Return one row per group and stage whose weights were compared with the true labels."""
    rows = []
    for group in groups:
        by_stage: dict[str, list[NoiseQuality]] = defaultdict(list)
        for record in group.records:
            for quality in record.noise:
                by_stage[quality.stage].append(quality)
        for stage, qualities in by_stage.items():
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
                )
            )
    return rows


def _mean(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return fmean(known) if known else None
