"""Every row in titled tables: one for each edition, split, protocol, kind and regime."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Protocol, TypeVar

import pandas as pd

from harness.errors import HarnessError, unknown
from harness.scores import Epoch
from harness.store.data_names import edition_is_called
from harness.store.groups import group_runs
from harness.store.origins import Origin
from harness.store.record import ResultRecord
from harness_leaderboard.measured import measured_rows, noise_rows
from harness_leaderboard.published import PublishedRow, published_row
from harness_leaderboard.rows import BoardRow, NoiseRow

MARK = "\N{DAGGER}"

AnyRow = TypeVar("AnyRow", BoardRow, NoiseRow)

HOW_TO_FILL = """\
Nothing is measured yet. To fill the board (a minute each on two cores):
  harness run --plugin baseline
  harness run --plugin huawei
"""
_SHRUNK = (
    "Shrunk runs: compare their differences, never one of their numbers, with what was published."
)
REGIMES = (
    "Tables of one data set differ in training, as far as we could tell: do not compare across "
    "them. It is mostly not stated whether the last or the best epoch was tested, or several "
    "networks together."
)
COPIED = "Copied: read in another publication than the one that measured it."


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
    unverified: Collection[str] | None = None,
    origins: Mapping[str, Origin] | None = None,
) -> Board:
    """Group the records over seeds and add the published rows, best first.

    ``unverified`` are the ids of records whose predictions were not scored again; None if none was
    checked. ``origins`` says where records came from that others made. Rows are sorted by top-1, in
    tables with a row that has none by top-5.
    """
    published = list(published)
    groups, notes = group_runs(records)
    rows = [
        *measured_rows(groups, published, epochs, unverified, origins),
        *(published_row(row) for row in published),
    ]
    lacking = {_terms(row) for row in rows if row.top1_percent is None}

    def place(row: BoardRow) -> tuple[float, float, str]:
        both = (row.top1_percent or 0, row.top5_percent or 0)
        first, second = both[::-1] if _terms(row) in lacking else both
        return -first, -second, row.method

    return Board(
        rows=tuple(sorted(rows, key=place)),
        noise=tuple(
            sorted(noise_rows(groups, origins), key=lambda row: (-(row.auc or 0), row.method))
        ),
        notes=tuple(notes),
    )


def narrow(
    board: Board,
    *,
    editions: Sequence[str] = (),
    splits: Sequence[str] = (),
    methods: Sequence[str] = (),
) -> Board:
    """Keep the rows of these editions and splits, and of methods that contain these words.

    An edition is named by its beginning, whatever the case, blanks and signs; nothing given keeps
    all. Raises HarnessError if one of them names nothing, with the choices.
    """
    known = {row.edition for row in board.rows}
    for text in editions:
        if not _on([text], *known):
            raise HarnessError(unknown("data set", text, known, listing="on the board"))
    known = {row.split for row in board.rows}
    for text in set(splits) - known:
        raise HarnessError(unknown("split", text, known, listing="on the board"))
    known = {row.method for row in board.rows}
    for text in methods:
        if not _by([text], *known):
            raise HarnessError(unknown("method", text, known, listing="on the board"))
    kept = [r for r in board.rows if _on(editions, r.edition) and _by(methods, r.method)]
    return Board(
        rows=tuple(row for row in kept if not splits or row.split in splits),
        noise=tuple(r for r in board.noise if _on(editions, r.edition) and _by(methods, r.method)),
        notes=tuple(note for note in board.notes if _on(editions, note[0])),
    )


def _on(texts: Sequence[str], *editions: str) -> bool:
    return not texts or any(edition_is_called(e, text) for e in editions for text in texts)


def _by(texts: Sequence[str], *methods: str) -> bool:
    return not texts or any(t.casefold() in method.casefold() for method in methods for t in texts)


def _terms(row: BoardRow) -> tuple[str, ...]:
    return row.edition, row.split, row.protocol, row.regime, row.kind


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
    by_terms = _gather(rows, _terms)
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
