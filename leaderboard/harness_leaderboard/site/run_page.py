"""The page of one run: everything that its record says, drawn and explained."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

from markupsafe import Markup

from harness.pages import plots
from harness.pages.render import shown
from harness.store.record import EffectiveStage, Knob, ResultRecord, Score
from harness.studies.again import command
from harness_leaderboard.site.home import Confusion, HomeFiles, class_name, headline_score

_TAG = '<td><span class="tag">{}</span></td>'
_WIDE = '<td class="wrap">{}</td>'
_KNOB = Markup(f'<tr><th scope="row"><code>{{}}</code></th><td>{{}}</td>{_TAG}{_WIDE}</tr>\n')
_VALUE = Markup(f'<tr><th scope="row">{{}}</th>{_WIDE}{_TAG}</tr>\n')
BARS = 40  # classes that have a bar each; more are one curve with its two ends
ENDS = 12


class Twin(NamedTuple):
    """Another run with equal settings and seed: other code, another machine, or another day."""

    id: str
    created: str
    commit: str
    version: str
    source: str
    top1: float | None
    is_this: bool
    changed: tuple[str, ...]


def run_values(
    record: ResultRecord, files: HomeFiles, twins: Sequence[ResultRecord]
) -> dict[str, Any]:
    """Return what the template of a run shows.

    ``twins`` are all runs with its settings and seed, itself among them.
    """
    score = headline_score(record)
    names = files.known(record.data).names
    return {
        "record": record,
        "score": score,
        "command": command(record),
        "curves": [curve for stage in record.stages for curve in _curves(stage)],
        "classes": _classes(score, names) if score else None,
        "ends": _ends(score, names) if score else None,
        "confusions": files.confusions(record),
        "weights": [_weights(one) for one in files.weights(record)],
        "twins": _twins(record, twins),
        "knobs": _knob_rows(tuple((name, *k) for name, k in _plain(record.knobs))),
        "stages": [
            (stage, _value_rows(tuple(stage.values.items()), tuple(stage.origins.items())))
            for stage in record.stages
        ],
        "plugins": [p for p in record.plugins if p.name == record.plugin]
        + [p for p in record.plugins if p.name != record.plugin],
    }


def _plain(knobs: Mapping[str, Knob]) -> Iterator[tuple[str, tuple[str, str, str]]]:
    return ((name, (knob.value, knob.origin, knob.source)) for name, knob in knobs.items())


# The seeds of a method share these rows, so each is written once and not once for each run.
@lru_cache(maxsize=1 << 12)
def _knob_rows(knobs: tuple[tuple[str, str, str, str], ...]) -> Markup:
    """Return the rows of a table of knobs: name, value, origin and source."""
    return Markup("").join(
        _KNOB.format(*map(shown, (name, value, origin, source)))
        for name, value, origin, source in knobs
    )


@lru_cache(maxsize=1 << 12)
def _value_rows(
    values: tuple[tuple[str, str], ...], origins: tuple[tuple[str, str], ...]
) -> Markup:
    """Return the rows of a table of a stage's values: field, value and origin."""
    known = dict(origins)
    return Markup("").join(
        _VALUE.format(*map(shown, (name, value, known.get(name, "")))) for name, value in values
    )


def pictures_of(confusions: Sequence[Confusion]) -> list[Path]:
    """Return the pictures that a page shows."""
    return [one.picture for one in confusions if one.picture is not None]


def _curves(stage: EffectiveStage) -> list[tuple[str, Markup]]:
    """Return the plots of a stage by title: loss, and accuracy on val if it was scored."""
    history = stage.history
    if not history:
        return []
    epochs = [entry.get("epoch", float(n)) for n, entry in enumerate(history, 1)]
    loss = [entry.get("loss") for entry in history]
    found = [
        (
            f"{stage.name}: training loss",
            plots.lines(
                [plots.Line("loss", list(zip(epochs, loss, strict=True)))],
                x="epoch",
                y="loss",
                label=f"Training loss of stage {stage.name} by epoch{_ends_at(loss)}",
            ),
        )
    ]
    drawn = [
        plots.Line(
            title, [(e, _percent(one.get(key))) for e, one in zip(epochs, history, strict=True)]
        )
        for key, title in (("val_top1", "top-1"), ("val_top5", "top-5"))
        if any(key in entry for entry in history)
    ]
    if drawn:
        top1 = [b for _, b in drawn[0].points]
        label = f"Accuracy on val of stage {stage.name} by epoch{_ends_at(top1)}"
        picture = plots.lines(drawn, x="epoch", y="accuracy on val, %", label=label)
        found.append((f"{stage.name}: accuracy on val", picture))
    return found


def _ends_at(values: Sequence[float | None]) -> str:
    known = [value for value in values if value is not None]
    return f", from {known[0]:.3g} to {known[-1]:.3g}" if known else ""


def _percent(share: float | None) -> float | None:
    return None if share is None else 100 * share


def _named(score: Score, names: Sequence[str]) -> list[tuple[str, float | None]]:
    return [(class_name(names, n), share) for n, share in enumerate(score.per_class_top1)]


def _classes(score: Score, names: Sequence[str]) -> Markup | None:
    known = [share for share in score.per_class_top1 if share is not None]
    if not known:
        return None
    label = (
        f"Top-1 of {len(known)} classes on {score.split}: from {min(known):.0%} to {max(known):.0%}"
    )
    if len(score.per_class_top1) <= BARS:
        shown = sorted(_named(score, names), key=lambda one: -1 if one[1] is None else -one[1])
        return plots.bars(shown, label=label)
    return plots.sorted_shares(known, x="classes, best first", y="top-1, %", label=label)


def _ends(score: Score, names: Sequence[str]) -> tuple[Markup, Markup] | None:
    """Return the best and the worst classes, if there are too many to show all."""
    if len(score.per_class_top1) <= BARS:
        return None
    named = sorted(
        (one for one in _named(score, names) if one[1] is not None), key=lambda one: -(one[1] or 0)
    )
    best, worst = named[:ENDS], named[-ENDS:]
    return plots.bars(best, label="The best classes"), plots.bars(worst, label="The worst classes")


def _weights(weights: Any) -> tuple[str, Markup]:
    title = f"{weights.stage}: weights of clean and of wrong pictures"
    drawn = [("clean", weights.clean), ("wrong", weights.wrong)]
    label = (
        f"Weights in stage {weights.stage}: weight 0 have "
        f"{weights.clean[0]:.0%} of the clean and {weights.wrong[0]:.0%} of the wrong pictures"
    )
    return title, plots.histogram(drawn, weights.edges, x="weight in the loss", label=label)


def _twins(record: ResultRecord, twins: Sequence[ResultRecord]) -> list[Twin]:
    """Return the runs with equal settings and seed, newest first, and what changed each time."""
    ordered = sorted(twins, key=lambda one: (one.cost.created, one.id))
    found, before = [], None
    for one in ordered:
        score = headline_score(one)
        own = next((plugin for plugin in one.plugins if plugin.name == one.plugin), None)
        found.append(
            Twin(
                one.id,
                one.cost.created,
                f"{one.commit[:9]}{' with changes' if one.dirty else ''}",
                own.version if own else "",
                own.source_sha256[:9] if own else "",
                score.top1 if score else None,
                one.id == record.id,
                _changes(before, one) if before else (),
            )
        )
        before = one
    return found[::-1]


def _changes(before: ResultRecord, after: ResultRecord) -> tuple[str, ...]:
    """Return what differs in code, libraries and machine from one run to the next, in words."""
    old = {plugin.name: plugin for plugin in before.plugins}
    found = []
    for plugin in after.plugins:
        was = old.get(plugin.name)
        if was is not None and was.version != plugin.version:
            found.append(f"{plugin.name} {was.version} to {plugin.version}")
        elif was is not None and was.source_sha256 != plugin.source_sha256:
            found.append(f"the source of {plugin.name}")
    for name, version in after.cost.versions.items():
        was_version = before.cost.versions.get(name, version)
        if was_version != version:
            found.append(f"{name} {was_version} to {version}")
    if before.commit != after.commit:
        found.append("the commit")
    if before.cost.hardware != after.cost.hardware:
        found.append("the hardware")
    return tuple(found)
