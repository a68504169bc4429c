"""Records grouped over their seeds: mean, standard deviation, and what a reader must be told."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from statistics import fmean, stdev
from typing import Literal

from harness.store.record import NoiseQuality, ResultRecord, Score
from harness_leaderboard.published import PublishedRow, corresponding
from harness_leaderboard.rows import NoiseRow, Row

Epoch = Literal["last", "best"]

_KNOB = "knob "  # so that no knob's name meets another setting's
_SEED = re.compile(r"\b(seed|random_state)=-?\d+")
_SHOWN_DIFFERENCES = 3
_SHOWN_CHARACTERS = 24


@dataclass(frozen=True, kw_only=True)
class Group:
    """Runs that differ in nothing but the seed: one record per seed, by seed."""

    name: str
    records: tuple[ResultRecord, ...]
    settings: dict[str, str]

    @property
    def newest(self) -> ResultRecord:
        """The record that was written last."""
        return max(self.records, key=_age)


def settings(record: ResultRecord) -> dict[str, str]:
    """Return everything that decides a run's result apart from the seed and the code's version.

    The seeds of single tricks follow from the run's, so they are left out, too.
    """
    found = {
        "label": record.label,
        "plugin": record.plugin,
        "without": " ".join(sorted(record.without)),
        "size": _size(record),
        "edition": record.data.edition,
        **{_KNOB + name: knob.value for name, knob in sorted(record.knobs.items())},
        "stages": " ".join(stage.name for stage in record.stages),
        "members": " ".join(record.members) if record.combine else "",
        "combine": record.combine,
    }
    for stage in record.stages:
        found[f"{stage.name}.ranks"] = " and then ".join(map(str, stage.ranks))
        found |= {f"{stage.name}.{name}": value for name, value in sorted(stage.values.items())}
        for slot, tricks in sorted(stage.tricks.items()):
            if tricks:
                found[f"{stage.name}.{slot} tricks"] = _SEED.sub("seed", ", ".join(tricks))
    found["data"] = " ".join([record.data.fingerprint, *record.data.tested.values()])
    found["plugins"] = " ".join(plugin.name for plugin in record.plugins)
    return found


def group_runs(
    records: Iterable[ResultRecord],
) -> tuple[list[Group], list[tuple[str, str]]]:
    """Group records over seeds; the second list says, per edition, what was left out or mixed.

    Of several runs of one group and seed (other code, another day) only the newest counts: they
    are no further seeds.
    """
    by_settings: dict[tuple[tuple[str, str], ...], list[ResultRecord]] = defaultdict(list)
    for record in records:
        by_settings[tuple(settings(record).items())].append(record)
    repeated: list[tuple[ResultRecord, int]] = []
    groups: list[Group] = []
    for key, runs in by_settings.items():
        by_seed: dict[int, list[ResultRecord]] = defaultdict(list)
        for record in sorted(runs, key=_age):
            by_seed[record.seed].append(record)
        repeated += [(same[-1], len(same)) for same in by_seed.values() if len(same) > 1]
        kept = tuple(by_seed[seed][-1] for seed in sorted(by_seed))
        groups.append(Group(name=_name(kept[-1]), records=kept, settings=dict(key)))
    notes = [
        (
            record.data.edition,
            f"{_name(record)}, seed {record.seed}, on {record.data.edition}: the newest of {count} "
            f"runs counts ({_code(record)}).",
        )
        for record, count in repeated
    ]
    groups = _tell_apart(groups)
    mixtures = [(group.settings["edition"], note) for group in groups for note in _mixtures(group)]
    return groups, notes + mixtures


def _age(record: ResultRecord) -> tuple[str, str]:
    return record.cost.created, record.id


def _size(record: ResultRecord) -> Literal["full", "shrunk"]:
    return "full" if record.full_size else "shrunk"


def _code(record: ResultRecord) -> str:
    changed = ", with local changes" if record.dirty else ""
    return f"commit {record.commit[:9] or 'unknown'}{changed}"


def _name(record: ResultRecord) -> str:
    """Return the label, the tricks left out where it does not tell, and what an ensemble is."""
    left_out = [name for name in record.without if name not in record.label]
    without = f" without {', '.join(left_out)}" if left_out else ""
    ensemble = f" ({len(record.members)} members, {record.combine})" if record.combine else ""
    return record.label + without + ensemble


def _mixtures(group: Group) -> Iterable[str]:
    """Say where the seeds of a group ran under different code or on different hardware."""
    code = dict.fromkeys(_code(record) for record in group.records)
    if len(code) > 1:
        yield f"{group.name}: its seeds ran under different code ({'; '.join(code)})."
    machines = {
        (record.cost.engine, *sorted(record.cost.hardware.items())) for record in group.records
    }
    if len(machines) > 1:
        yield f"{group.name}: its seeds ran on different hardware or engines; time is their mean."


def _tell_apart(groups: Sequence[Group]) -> list[Group]:
    """Add to the name of each group what sets it apart from its namesakes on the same edition."""
    namesakes: dict[tuple[str, str], list[Group]] = defaultdict(list)
    for group in groups:
        namesakes[group.settings["edition"], group.name].append(group)
    named = []
    for group in groups:
        others = namesakes[group.settings["edition"], group.name]
        differing = [
            f"{key.removeprefix(_KNOB)}={_shorten(group.settings.get(key, 'none'))}"
            for key in dict.fromkeys(key for other in others for key in other.settings)
            if key != "size" and len({other.settings.get(key) for other in others}) > 1
        ]
        more = len(differing) - _SHOWN_DIFFERENCES
        shown = ", ".join(differing[:_SHOWN_DIFFERENCES]) + (f", +{more}" if more > 0 else "")
        named.append(replace(group, name=f"{group.name} ({shown})") if shown else group)
    return named


def _shorten(value: str) -> str:
    """Keep the start of a long value."""
    return value if len(value) <= _SHOWN_CHARACTERS else f"{value[: _SHOWN_CHARACTERS - 3]}..."


def measured_rows(
    groups: Iterable[Group],
    published: Iterable[PublishedRow],
    epochs: Iterable[Epoch],
    unverified: Collection[str] | None = None,
) -> list[Row]:
    """Return one row per group, split, protocol and epoch, with the published row it reproduces.

    ``unverified`` are the ids of records whose predictions were not scored again; None: nobody
    looked.
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


def _row(records: list[ResultRecord], scores: list[Score]) -> Row:
    """Average the scores of one group under one split, protocol and epoch."""
    first, score = records[0], scores[0]

    def percent(value: Callable[[Score], float]) -> float:
        return 100 * fmean(map(value, scores))

    def spread(value: Callable[[Score], float]) -> float | None:
        return 100 * stdev(map(value, scores)) if len(scores) > 1 else None

    return Row(
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
        size=_size(first),
        plugin=first.plugin,
        knobs=" ".join(f"{name}={knob.value}" for name, knob in first.knobs.items()),
        fingerprint=first.data.scored_on(score.split),
    )


def _reference(references: list[PublishedRow], terms: tuple[str, str, str]) -> tuple[str, str]:
    """Return where and what was published, under the same terms if possible.

    On another edition it is what was published of val, so that differences are of one split.
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
    """Return one row per group and stage whose weights were compared with the truth."""
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
