"""Every row in titled tables: one for each edition, split, protocol, kind and regime."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Protocol, TypeVar

import pandas as pd

from harness_leaderboard.rows import BoardRow, NoiseRow

MARK = "\N{DAGGER}"

AnyRow = TypeVar("AnyRow", BoardRow, NoiseRow)

_SHRUNK = (
    "Shrunk runs: compare their differences, never one of their numbers, with what was published."
)


class Submitted(Protocol):
    """A row that says where runs of others came from."""

    @property
    def method(self) -> str:
        """Its name."""
        ...

    @property
    def submitted(self) -> tuple[str, ...]:
        """The files, each once."""
        ...


@dataclass(frozen=True, kw_only=True)
class BoardTable:
    """A titled table of text cells; ``left`` names the columns of words, not numbers.

    ``spare`` are the columns that plain text leaves out if it is too narrow, the first ones first.
    ``legend`` says what columns mean; it is printed before the notes.
    """

    title: str
    frame: pd.DataFrame
    notes: tuple[str, ...] = ()
    left: frozenset[str] = frozenset()
    spare: tuple[str, ...] = ()
    legend: Mapping[str, str] = field(default_factory=dict)


def flat(
    rows: Sequence[BoardRow] | Sequence[NoiseRow], kind: type[BoardRow] | type[NoiseRow]
) -> pd.DataFrame:
    """Return the rows as one list for scripts: a column for each field, numbers unrounded."""
    names = [field.name for field in fields(kind)]
    columns = {
        name: pd.Series([getattr(row, name) for row in rows], dtype=object) for name in names
    }
    return pd.DataFrame(columns, columns=pd.Index(names))


def score_tables(rows: Iterable[BoardRow]) -> list[BoardTable]:
    """Return a table for each edition, split, protocol, regime and kind, measured ones first.

    Measured and published numbers never share a table.
    """
    by_terms = _gather(rows, lambda row: row.terms)
    in_order = sorted(by_terms, key=lambda terms: (terms[-1], *terms))  # measured < published
    return [
        (_measured_table if terms[-1] == "measured" else _published_table)(terms, by_terms[terms])
        for terms in in_order
    ]


def noise_tables(rows: Iterable[NoiseRow]) -> list[BoardTable]:
    """Return one table of noise-detection quality per edition."""
    return [
        BoardTable(
            title=f"{edition} · noise detection (measured)",
            frame=_frame(
                {
                    "method": [marked(row.method, row.submitted) for row in found],
                    "stage": [row.stage for row in found],
                    "AUC": [_share(row.auc) for row in found],
                    "precision": [_share(row.precision) for row in found],
                    "recall": [_share(row.recall) for row in found],
                    "kept": [_share(row.kept) for row in found],
                    "rare clean lost": [_share(row.rare_clean_lost) for row in found],
                    "clean": [_share(row.clean) for row in found],
                    "seeds": [str(row.n_seeds) for row in found],
                }
            ),
            notes=(*_copies(edition, found), *on_submitted(found)),
            left=frozenset({"method", "stage"}),
            spare=("rare clean lost", "clean", "seeds", "kept", "precision", "recall"),
        )
        for (edition,), found in _gather(rows, lambda row: (row.edition,)).items()
    ]


def _gather(
    rows: Iterable[AnyRow], name: Callable[[AnyRow], tuple[str, ...]]
) -> dict[tuple[str, ...], list[AnyRow]]:
    """Return the rows grouped by ``name``, in order of appearance."""
    found: dict[tuple[str, ...], list[AnyRow]] = {}
    for row in rows:
        found.setdefault(name(row), []).append(row)
    return found


def _measured_table(terms: tuple[str, ...], rows: list[BoardRow]) -> BoardTable:
    columns: dict[str, list[str]] = {
        "method": [marked(row.method, row.submitted) for row in rows],
        "top-1 %": [_spread(row.top1_percent, row.top1_sd) for row in rows],
        "top-5 %": [_spread(row.top5_percent, row.top5_sd) for row in rows],
        "class mean %": _class_means(rows),
        "epoch": [row.epoch for row in rows],
        "seeds": ["" if row.n_seeds is None else str(row.n_seeds) for row in rows],
        "time": ["" if r.device_seconds is None else short_time(r.device_seconds) for r in rows],
        "size": [row.size for row in rows],
        "verified": [row.verified for row in rows],
        "published %": [_both(row) for row in rows],
    }
    return BoardTable(
        title=f"{' · '.join(terms[:3])} (measured)",
        frame=_frame(_filled(columns)),
        notes=_measured_notes(terms, rows),
        left=frozenset({"method", "epoch", "size", "verified"}),
        spare=("verified", "class mean %", "time", "size", "seeds", "epoch", "published %"),
    )


def _published_table(terms: tuple[str, ...], rows: list[BoardRow]) -> BoardTable:
    edition, split, protocol, regime, _ = terms
    sources = list(dict.fromkeys(row.source for row in rows))
    columns: dict[str, list[str]] = {
        "method": [row.method for row in rows],
        "backbone": [row.backbone for row in rows],
        "top-1 %": [_spread(row.top1_percent, row.top1_sd) for row in rows],
        "top-5 %": [_spread(row.top5_percent, None) for row in rows],
        "printed": [_printed(row) for row in rows],
        "top-5 % of each run": [" ".join(f"{value:.2f}" for value in row.runs) for row in rows],
        "read": [row.read for row in rows],
        "source": [f"[{sources.index(row.source) + 1}]" for row in rows],
    }
    notes = [f"[{number}] {source}." for number, source in enumerate(sources, 1)]
    if len({row.top1_percent is None for row in rows}) == 2:
        notes.insert(0, "Sorted by top-5: not every row has top-1.")
    title = " · ".join(part for part in (edition, split, protocol, regime) if part)
    return BoardTable(
        title=f"{title} (published)",
        frame=_frame(_filled(columns)),
        notes=tuple(notes),
        left=frozenset({"method", "backbone", "printed", "read", "source"}),
        spare=("printed", "top-5 % of each run", "backbone", "read"),
    )


def _filled(columns: Mapping[str, list[str]]) -> dict[str, list[str]]:
    return {name: cells for name, cells in columns.items() if name == "method" or any(cells)}


def _frame(columns: dict[str, list[str]]) -> pd.DataFrame:
    return pd.DataFrame(columns, dtype=object)


def _measured_notes(terms: tuple[str, ...], rows: list[BoardRow]) -> tuple[str, ...]:
    edition, split, *_ = terms
    notes = [*_copies(edition, rows), *on_submitted(rows)]
    if any(row.size == "shrunk" for row in rows):
        notes.append(_SHRUNK)
    if split == "val" and any(row.epoch == "best" for row in rows):
        notes.append("The best epoch was chosen on this split: its numbers are too high.")
    references = dict.fromkeys(row.reference for row in rows if row.reference)
    return (*notes, *(f"Published: {reference}, top-1 / top-5." for reference in references))


def _copies(edition: str, rows: Sequence[BoardRow] | Sequence[NoiseRow]) -> tuple[str, ...]:
    """Return a warning if rows of one edition come from different files."""
    fingerprints = dict.fromkeys(row.fingerprint[:8] for row in rows if row.fingerprint)
    if len(fingerprints) < 2:
        return ()
    return (
        f"These rows come from {len(fingerprints)} different copies of {edition} "
        f"({', '.join(fingerprints)}): do not compare across them.",
    )


def _class_means(rows: list[BoardRow]) -> list[str]:
    """Return "top-1 / top-5", or nothing if all classes are equally large in all rows."""
    means = [(row.top1_class_mean_percent, row.top5_class_mean_percent) for row in rows]
    plain = [(row.top1_percent, row.top5_percent) for row in rows]
    if all(
        mean is None or value is None or abs(mean - value) < 5e-3
        for pair in zip(means, plain, strict=True)
        for mean, value in zip(*pair, strict=True)
    ):
        return [""] * len(rows)
    return ["" if a is None or b is None else f"{a:.2f} / {b:.2f}" for a, b in means]


def _printed(row: BoardRow) -> str:
    numbers = " / ".join(number for number in (row.printed_top1, row.printed_top5) if number)
    same = row.printed_as == "accuracy %"  # as in the columns beside it
    return "" if same else f"{numbers} ({row.printed_as})"


def _both(row: BoardRow) -> str:
    """Return the published numbers of a measured row, or nothing."""
    both = (row.reference_top1_percent, row.reference_top5_percent)
    shown = ["-" if value is None else f"{value:.2f}" for value in both]
    return " / ".join(shown) if row.reference else ""


def _spread(value: float | None, deviation: float | None) -> str:
    if value is None:
        return ""
    return f"{value:.2f}" if deviation is None else f"{value:.2f} ± {deviation:.2f}"


def _share(value: float | None) -> str:
    return "" if value is None else f"{value:.3f}"


def marked(method: str, submitted: Sequence[str]) -> str:
    """Return a method's name, with a mark if runs of it came from others."""
    return f"{method} {MARK}" if submitted else method


def on_submitted(rows: Iterable[Submitted]) -> Iterator[str]:
    """Yield what the mark means, and which file each marked row came from."""
    found = (f"{row.method} from {', '.join(row.submitted)}" for row in rows if row.submitted)
    named = "; ".join(dict.fromkeys(found))  # a method has several rows: epochs, stages
    if named:
        yield f"{MARK} Runs that others made, some or all: {named}."


def short_time(seconds: float) -> str:
    """Return a time in the unit that gives two or three digits."""
    for unit, size, limit in (("s", 1, 100), ("min", 60, 100)):
        if seconds < size * limit:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds / 3600:.1f} h"
