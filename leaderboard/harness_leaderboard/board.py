"""Every row, measured and published: gathered, sorted best first, narrowed to what was asked."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from harness.errors import HarnessError, unknown
from harness.scores import Epoch
from harness.store.data_names import edition_is_called
from harness.store.groups import group_runs
from harness.store.origins import Origin
from harness.store.record import ResultRecord
from harness_leaderboard.measured import measured_rows, noise_rows
from harness_leaderboard.published import PublishedRow, published_row
from harness_leaderboard.rows import BoardRow, NoiseRow


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
    lacking = {row.terms for row in rows if row.top1_percent is None}

    def place(row: BoardRow) -> tuple[float, float, str]:
        both = (row.top1_percent or 0, row.top5_percent or 0)
        first, second = both[::-1] if row.terms in lacking else both
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
