"""Rows sorted into titled tables: one table for each edition, split and protocol."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, fields
from typing import TypeVar

import pandas as pd

from harness.errors import HarnessError, unknown
from harness.scores import Epoch, Metric
from harness.store.groups import group_runs
from harness.store.record import ResultRecord
from harness_leaderboard.measured import measured_rows, noise_rows
from harness_leaderboard.published import PublishedRow, published_row
from harness_leaderboard.rows import BoardRow, NoiseRow

AnyRow = TypeVar("AnyRow", BoardRow, NoiseRow)

HOW_TO_FILL = "Nothing measured yet. To fill the board: harness run --plugin malong_curriculum"
_SHRUNK = (
    "Shrunk runs: compare their differences, never one of their numbers, with what was published."
)


@dataclass(frozen=True, kw_only=True)
class BoardTable:
    """A titled table of text cells; ``left`` names the columns of words, not numbers."""

    title: str
    frame: pd.DataFrame
    notes: tuple[str, ...] = ()
    left: frozenset[str] = frozenset()


@dataclass(frozen=True, kw_only=True)
class Board:
    """All rows, and notes on how they were made.

    A note is an edition and a sentence; the edition is empty if the note is about the whole board.
    """

    rows: tuple[BoardRow, ...]
    noise: tuple[NoiseRow, ...]
    notes: tuple[tuple[str, str], ...]


def make_board(
    records: Iterable[ResultRecord],
    published: Iterable[PublishedRow],
    *,
    epochs: Iterable[Epoch] = ("last",),
    sort: Metric = "top1",
    unverified: Collection[str] | None = None,
) -> Board:
    """Group the records over seeds and add the published rows, best first.

    ``unverified`` are the ids of records whose predictions were not scored again; None if none was
    checked. If a row of a table lacks the accuracy to sort by, that table is sorted by the other.
    """
    published = list(published)
    groups, notes = group_runs(records)
    rows = [
        *measured_rows(groups, published, epochs, unverified),
        *(published_row(row) for row in published),
    ]
    lacking = {_terms(row) for row in rows if _percent(row, sort) is None}
    other: Metric = "top5" if sort == "top1" else "top1"

    def place(row: BoardRow) -> tuple[float, float, str]:
        first, second = (other, sort) if _terms(row) in lacking else (sort, other)
        return -(_percent(row, first) or 0), -(_percent(row, second) or 0), row.method

    return Board(
        rows=tuple(sorted(rows, key=place)),
        noise=tuple(sorted(noise_rows(groups), key=lambda row: (-(row.auc or 0), row.method))),
        notes=tuple(notes if groups else [("", HOW_TO_FILL)]),
    )


def narrow(board: Board, *, edition: str | None = None, split: str | None = None) -> Board:
    """Keep the editions and splits that begin with these texts, in any case.

    Raises HarnessError if no row is left, naming the choices.
    """
    for kind, asked, known in (
        ("edition", edition, {row.edition for row in board.rows}),
        ("split", split, {row.split for row in board.rows}),
    ):
        if asked is not None and not any(_begins(name, asked) for name in known):
            raise HarnessError(unknown(kind, asked, known, listing="on the board"))
    return Board(
        rows=tuple(
            row
            for row in board.rows
            if _begins(row.edition, edition or "") and _begins(row.split, split or "")
        ),
        noise=tuple(row for row in board.noise if _begins(row.edition, edition or "")),
        notes=tuple(note for note in board.notes if not note[0] or _begins(note[0], edition or "")),
    )


def _begins(name: str, asked: str) -> bool:
    return name.casefold().startswith(asked.casefold())


def _terms(row: BoardRow) -> tuple[str, str, str]:
    return row.edition, row.split, row.protocol


def _percent(row: BoardRow, metric: Metric) -> float | None:
    return row.top1_percent if metric == "top1" else row.top5_percent


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
    """Return one table per edition, split and protocol, those with measured rows first."""
    by_terms = _gather(rows, _terms)
    in_order = sorted(by_terms, key=lambda terms: (not _measured(by_terms[terms]), *terms))
    return [_score_table(terms, by_terms[terms]) for terms in in_order]


def noise_tables(rows: Iterable[NoiseRow]) -> list[BoardTable]:
    """Return one table of noise-detection quality per edition."""
    return [
        BoardTable(
            title=f"{edition} · noise detection (measured)",
            frame=_frame(
                {
                    "method": [row.method for row in found],
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
            notes=_copies(edition, found),
            left=frozenset({"method", "stage"}),
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


def _measured(rows: Iterable[BoardRow]) -> bool:
    return any(row.kind == "measured" for row in rows)


def _score_table(terms: tuple[str, ...], rows: list[BoardRow]) -> BoardTable:
    """Return the table of the rows that share these terms."""
    kinds = [kind for kind in ("measured", "published") if any(row.kind == kind for row in rows)]
    columns: dict[str, list[str]] = {
        "kind": [row.kind if len(kinds) > 1 else "" for row in rows],
        "method": [row.method for row in rows],
        "top-1 %": [_spread(row.top1_percent, row.top1_sd) for row in rows],
        "top-5 %": [_spread(row.top5_percent, row.top5_sd) for row in rows],
        "class mean %": _class_means(rows),
        "epoch": [row.epoch for row in rows],
        "seeds": ["" if row.n_seeds is None else str(row.n_seeds) for row in rows],
        "time": [_time(row.device_seconds) for row in rows],
        "size": [row.size for row in rows],
        "verified": [row.verified for row in rows],
    }
    places = _places(rows)
    columns |= {
        # One place for all fits into the header; several get a note each.
        f"published %, {places[0]}" if len(places) == 1 else "published %": [
            row.reference_percent + (_mark(places, row.reference) if len(places) > 1 else "")
            for row in rows
        ],
        # Tables with measured rows have no room for it; the flat lists always have it.
        "printed": ["" if "measured" in kinds else _printed(row) for row in rows],
        "top-5 % of each run": [row.runs for row in rows],
        "table": [row.table for row in rows],
    }
    return BoardTable(
        title=f"{' · '.join(terms)} ({' and '.join(kinds)})",
        frame=_frame(
            {name: cells for name, cells in columns.items() if name == "method" or any(cells)}
        ),
        notes=_notes(terms, rows),
        left=frozenset({"kind", "method", "epoch", "size", "verified", "printed", "table"}),
    )


def _frame(columns: dict[str, list[str]]) -> pd.DataFrame:
    return pd.DataFrame(columns, dtype=object)


def _notes(terms: tuple[str, ...], rows: list[BoardRow]) -> tuple[str, ...]:
    """Return the notes of this table."""
    edition, split, _ = terms
    notes = [*_copies(edition, rows)]
    if any(row.size == "shrunk" and row.reference for row in rows) or (
        any(row.size == "shrunk" for row in rows) and any(row.kind == "published" for row in rows)
    ):
        notes.append(_SHRUNK)
    if split == "val" and any(row.epoch == "best" for row in rows):
        notes.append("The best epoch was chosen on this split: its numbers are too high.")
    if len({row.top1_percent is None for row in rows}) == 2:
        notes.append("Sorted by top-5: not every row has top-1.")
    places = _places(rows)
    if len(places) > 1:
        notes += [f"Published{_mark(places, place)}: {place}." for place in places]
    sources = dict.fromkeys(row.source for row in rows if row.source)
    return (*notes, *(f"Source: {source}." for source in sources))


def _places(rows: Iterable[BoardRow]) -> list[str]:
    """Return the terms of the published rows that measured ones reproduce, each once."""
    return sorted({row.reference for row in rows if row.reference})


def _mark(places: list[str], place: str) -> str:
    return f" ({places.index(place) + 1})" if place else ""


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
    return f"{numbers} ({row.printed_as})" if numbers else ""


def _spread(value: float | None, deviation: float | None) -> str:
    if value is None:
        return ""
    return f"{value:.2f}" if deviation is None else f"{value:.2f} ± {deviation:.2f}"


def _share(value: float | None) -> str:
    return "" if value is None else f"{value:.3f}"


def _time(seconds: float | None) -> str:
    """Return device time in the unit that gives two or three digits."""
    if seconds is None:
        return ""
    for unit, size, limit in (("s", 1, 100), ("min", 60, 100)):
        if seconds < size * limit:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds / 3600:.1f} h"
