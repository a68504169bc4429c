"""The board in a notebook: a pandas table that is shown as the page of the board."""

from __future__ import annotations

from typing import Any

import pandas as pd

from harness_leaderboard.formats import sections
from harness_leaderboard.show import Shown


class BoardFrame(pd.DataFrame):
    """A board's flat list; what is computed from it is a plain table."""

    _metadata = ("_page",)  # pandas would take any other attribute for a column

    @property
    def _constructor(self) -> type[pd.DataFrame]:
        return pd.DataFrame

    def _repr_html_(self) -> str:
        return str(self._page)


def board_frame(shown: Shown) -> pd.DataFrame:
    """Return the rows of a board, which a notebook shows with titles, notes and all."""
    frame: Any = BoardFrame(shown.frame)
    frame._page = sections(shown.tables, (*shown.notes, *shown.empty.splitlines()))
    found: pd.DataFrame = frame
    return found
