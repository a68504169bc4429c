"""What a board shows: the headline, the published rows, or everything, as tables or a flat list."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Literal, NamedTuple, TypeAlias, get_args

import pandas as pd

from harness.errors import HarnessError, unknown
from harness.scores import Epoch
from harness.store.origins import Origin
from harness.store.record import ResultRecord
from harness_leaderboard.board import Board, make_board, narrow
from harness_leaderboard.formats import LISTS, PAGES, WIDTH, as_table
from harness_leaderboard.headline import EpochChoice, make_headline
from harness_leaderboard.headline_board import HeadlineBoard
from harness_leaderboard.headline_table import headline_list, headline_table
from harness_leaderboard.published import load_field, load_published
from harness_leaderboard.rows import BoardRow, NoiseRow
from harness_leaderboard.table import BoardTable, flat, noise_tables, score_tables

Kind: TypeAlias = Literal["headline", "noise", "published", "all"]
KINDS: tuple[Kind, ...] = get_args(Kind)
EPOCHS: tuple[Epoch, ...] = ("last", "best", "averaged")
HOW_TO_FILL = """\
Nothing is measured yet. To fill the board (a minute each on two cores):
  harness run --plugin baseline
  harness run --plugin huawei
"""
REGIMES = (
    "Tables of one data set differ in training, as far as we could tell: do not compare across "
    "them. It is mostly not stated whether the last or the best epoch was tested, or several "
    "networks together."
)
COPIED = "Copied: read in another publication than the one that measured it."


@dataclass(frozen=True, kw_only=True)
class Filters:
    """What to keep; an empty tuple keeps all, or of a headline the newest run's data and split."""

    data: tuple[str, ...] = ()  # as records spell it, or the beginning of an edition
    splits: tuple[str, ...] = ()
    methods: tuple[str, ...] = ()
    epoch: EpochChoice | None = None


class Shown(NamedTuple):
    """Tables for a page, the same rows as a list, notes on rows, and what to say if all is empty.

    What a reader of the numbers must know is in the tables' notes.
    """

    tables: list[BoardTable]
    frame: pd.DataFrame
    notes: tuple[str, ...] = ()
    empty: str = ""


def show(
    kind: Kind,
    records: Sequence[ResultRecord],
    home: Path,
    asked: Filters,
    unverified: Collection[str] | None,
    origins: Mapping[str, Origin] | None = None,
) -> Shown:
    """Return what a board of this kind shows; raises HarnessError if a filter names nothing."""
    if kind not in KINDS:
        raise HarnessError(unknown("kind", kind, KINDS))
    if kind == "headline":
        if not records:
            return Shown([], headline_list(()), empty=HOW_TO_FILL)
        boards = headlines(records, home, asked, unverified, origins)
        tables = [headline_table(one, asked.epoch) for one in boards]
        notes = tuple(dict.fromkeys(note for one in boards for note in one.notes))
        return Shown(tables, headline_list(boards), notes)
    measured = () if kind == "published" else records
    board = narrow(
        make_board(
            measured,
            (*load_published(), *load_field()) if kind in ("published", "all") else (),
            epochs=_epochs(asked.epoch) if kind == "all" else ("last",),
            unverified=unverified,
            origins=origins,
        ),
        editions=asked.data,
        splits=asked.splits,
        methods=asked.methods,
    )
    notes = (*(note for _, note in board.notes), *on_published(board))
    if kind == "noise":
        empty = "" if records else HOW_TO_FILL
        return Shown(noise_tables(board.noise), flat(board.noise, NoiseRow), notes, empty)
    tables = score_tables(board.rows)
    own = sum(table.title.endswith("(measured)") for table in tables)
    tables[own:own] = noise_tables(board.noise)
    return Shown(tables, flat(board.rows, BoardRow), notes)


def headlines(
    records: Iterable[ResultRecord],
    home: Path,
    asked: Filters,
    unverified: Collection[str] | None,
    origins: Mapping[str, Origin] | None = None,
) -> list[HeadlineBoard]:
    """Return a headline board for each data set and split that was asked for, one by default."""
    known = list(records)
    return [
        make_headline(
            known,
            home,
            data=data,
            split=split,
            epoch=asked.epoch,
            methods=asked.methods,
            unverified=unverified,
            origins=origins,
        )
        for data, split in product(asked.data or (None,), asked.splits or (None,))
    ]


def text_of(shown: Shown, form: str, width: int = WIDTH) -> tuple[str, tuple[str, ...]]:
    """Return a board in a form of ``PAGES`` or ``LISTS``, and the notes that the form leaves out.

    ``width`` is that of plain text, in characters.
    """
    if form in LISTS:
        return LISTS[form](shown.frame), (*shown.notes, *shown.empty.splitlines())
    if form == "table":
        return shown.empty or as_table(shown.tables, shown.notes, width), ()
    return PAGES[form](shown.tables, (*shown.notes, *shown.empty.splitlines())), ()


def on_published(board: Board) -> Iterator[str]:
    """Yield what a reader of published rows must know."""
    if any(row.kind == "published" and row.regime for row in board.rows):
        yield REGIMES
    if any(row.read == "copied" for row in board.rows):
        yield COPIED


def _epochs(asked: EpochChoice | None) -> tuple[Epoch, ...]:
    """Return the epochs of the measured tables: without a choice, all that a run may have."""
    return EPOCHS if asked is None or asked == "all" else (asked,)
