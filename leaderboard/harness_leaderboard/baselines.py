"""Which baseline a row is compared with: one of the same budget, or none."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from harness.store.groups import size_of
from harness.store.record import ResultRecord
from harness.studies.again import asked

BASELINE = "baseline"
# Fields that decide how much is computed, so that a run which changes one has another budget.
BUDGET = ("epochs", "views", "backbone", "input_size")


class Terms(NamedTuple):
    """What the user changed of a method, as words of the command line.

    ``budget`` is what a fair baseline must share: changed budget fields of all stages, and whether
    the recipe was shrunk. ``rest`` is everything else.
    """

    budget: frozenset[str]
    rest: frozenset[str]


def terms_of(record: ResultRecord) -> Terms:
    """Return what the user changed of a run's method."""
    what = asked(record)
    budget = {f"--stage {n}={v}" for n, v in what["stage"].items() if n in BUDGET}
    budget |= {f"--set {n}={v}" for n, v in what["knobs"].items() if n == "epochs"}
    rest = {f"--stage {name}={value}" for name, value in what["stage"].items()}
    rest |= {f"--set {name}={value}" for name, value in what["knobs"].items()}
    rest |= {f"--with {name}" for name in what["extra"]}
    rest |= {f"--without {name}" for name in what["without"]}
    return Terms(frozenset({size_of(record), *budget}), frozenset(rest - budget))


def fitting(rows: Sequence[tuple[ResultRecord, float]]) -> list[int | None]:
    """Return for each row the place of the baseline that it is compared with; None without one.

    A row is a record of it, and how much speaks for it among baselines of equal terms. A baseline
    fits a row that has its budget, and every other change of it too: most changes first.
    """
    terms = [terms_of(record) for record, _ in rows]
    chosen: dict[Terms, int] = {}
    for place, (record, worth) in enumerate(rows):
        if record.plugin == BASELINE:
            best = chosen.get(terms[place])
            if best is None or worth > rows[best][1]:
                chosen[terms[place]] = place
    return [_fit(place, own, chosen) for place, own in enumerate(terms)]


def _fit(place: int, own: Terms, chosen: dict[Terms, int]) -> int | None:
    found = [
        other
        for other, there in chosen.items()
        if there != place and other.budget == own.budget and other.rest <= own.rest
    ]
    if chosen.get(own) == place:  # itself: only a baseline with fewer changes
        found = [other for other in found if other.rest < own.rest]
    best = max(found, key=lambda other: (len(other.rest), sorted(other.rest)), default=None)
    return None if best is None else chosen[best]


def missing_baseline(record: ResultRecord) -> str:
    """Return the options that give the baseline the budget of a run."""
    budget = sorted(terms_of(record).budget - {"full", "shrunk"})
    return " ".join(["--plugin", BASELINE, *budget])
