"""Records grouped over their seeds, with notes on each group."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from harness.store.record import ResultRecord

_KNOB = "knob "  # no knob's name collides with another setting's
_SEED = re.compile(r"\b(seed|random_state)=-?\d+")
_SHOWN_DIFFERENCES = 3
_SHOWN_CHARACTERS = 24


@dataclass(frozen=True, kw_only=True)
class Group:
    """Runs that differ only in the seed: one record per seed, by seed."""

    name: str
    records: tuple[ResultRecord, ...]
    settings: dict[str, str]

    @property
    def newest(self) -> ResultRecord:
        """The record that was written last."""
        return max(self.records, key=_age)


def settings(record: ResultRecord) -> dict[str, str]:
    """Return everything that decides a run's result apart from the seed and the code's version.

    The seeds of single tricks follow from the run's, so they are also left out.
    """
    found = {
        "label": label_of(record),
        "plugin": record.plugin,
        "without": " ".join(sorted(record.without)),
        "size": size_of(record),
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


def label_of(record: ResultRecord) -> str:
    """Return the label with its numbers in one spelling: "lr=1_0" and "lr=1e1" are "lr=10"."""
    return " ".join(
        f"{name}={_number(text)}" if equals else name
        for name, equals, text in (word.partition("=") for word in record.label.split(" "))
    )


def _number(text: str) -> str:
    """Return the shortest spelling of a number; other text as it is."""
    try:
        value = float(text)
        whole = int(text) if "e" not in text.lower() and "." not in text else int(value)
    except (ValueError, OverflowError):  # no number, or one without end
        return text
    return str(whole) if whole == value else str(value)


def _age(record: ResultRecord) -> tuple[str, str]:
    return record.cost.created, record.id


def size_of(record: ResultRecord) -> Literal["full", "shrunk"]:
    """Return whether a profile or an override shrank the recipe."""
    return "full" if record.full_size else "shrunk"


def _code(record: ResultRecord) -> str:
    changed = ", with local changes" if record.dirty else ""
    return f"commit {record.commit[:9] or 'unknown'}{changed}"


def _name(record: ResultRecord) -> str:
    """Return the label, the tricks left out if the label omits them, and the ensemble."""
    label = label_of(record)
    left_out = [name for name in record.without if name not in label]
    without = f" without {', '.join(left_out)}" if left_out else ""
    members = len(record.members)  # the networks of one stage are the method's own
    ensemble = f" ({members} members, {record.combine})" if members > 1 else ""
    return label + without + ensemble


def _mixtures(group: Group) -> Iterable[str]:
    """Yield a line if the seeds of a group ran under different code or on different hardware."""
    code = dict.fromkeys(_code(record) for record in group.records)
    if len(code) > 1:
        yield f"{group.name}: its seeds ran under different code ({'; '.join(code)})."
    machines = {
        (record.cost.engine, *sorted(record.cost.hardware.items())) for record in group.records
    }
    if len(machines) > 1:
        yield f"{group.name}: its seeds ran on different hardware or engines; time is their mean."


def _tell_apart(groups: Sequence[Group]) -> list[Group]:
    """Add to each group's name how it differs from groups of equal name and edition."""
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
