"""Tables and flat lists as text. Records may come from others, so their text is escaped."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Callable, Sequence
from typing import Any, Literal

import pandas as pd
from tabulate import LATEX_ESCAPE_RULES, MIN_PADDING, tabulate

from harness.terminal import visible
from harness_leaderboard.rows import BoardRow, NoiseRow
from harness_leaderboard.table import Board, BoardTable, flat, noise_tables, score_tables

Show = Literal["all", "scores", "noise"]

WIDTH = 120  # characters that a plain table may take
_NARROWEST, _WIDEST = 24, 30  # the methods' column; any other
_HEADER = 14
_LONGEST = 300  # characters of any one text

# Placeholders for characters that tabulate would interpret; clean() removes them from input.
_BRACKET, _STAR = "\ue000", "\ue001"

_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 75rem; padding: 0 1rem;
  color: #1b1b1b; background: #fff }
section { overflow-x: auto }
h1 { font-size: 1.5rem } h2 { font-size: 1.1rem; margin: 2rem 0 .5rem }
table { border-collapse: collapse; font-variant-numeric: tabular-nums }
th, td { padding: .3rem .7rem; border-bottom: 1px solid #ddd }
th { border-bottom: 2px solid #777; vertical-align: bottom; max-width: 10rem }
td { white-space: nowrap }
td:first-child { white-space: normal; overflow-wrap: anywhere; min-width: 15rem }
tbody tr:hover { background: #f3f6fa }
p { color: #555; margin: .3rem 0; max-width: 60rem }
@media (prefers-color-scheme: dark) {
  body { color: #e6e6e6; background: #16181b } th, td { border-color: #3a3d42 } p { color: #aaa }
  tbody tr:hover { background: #22262b }
}
"""


def clean(value: str) -> str:
    """Return one line of visible text: no control, direction or private characters."""
    return visible(value, _LONGEST)


def as_table(tables: Sequence[BoardTable], notes: Sequence[str]) -> str:
    """Return plain text for a terminal, the longest column wrapped to keep within ``WIDTH``."""
    parts = []
    for table in tables:
        grid = f"{clean(table.title)}\n\n{_plain(table)}"
        parts.append("\n\n".join([grid, *map(clean, table.notes)]))
    if notes:
        parts.append("\n".join(map(clean, notes)))
    return "\n\n\n".join(parts) + "\n"


def as_markdown(tables: Sequence[BoardTable], notes: Sequence[str]) -> str:
    """Return GitHub's Markdown, with a heading for each table."""
    parts = []
    for table in tables:
        lines = [f"### {_markdown(table.title)}", "", _grid(table, "pipe", _markdown)]
        parts += ["\n".join(lines), *map(_markdown, table.notes)]
    return "\n\n".join([*parts, *map(_markdown, notes)]) + "\n"


def as_latex(tables: Sequence[BoardTable], notes: Sequence[str]) -> str:
    """Return one ``table`` environment each; the document needs ``booktabs``."""
    parts = []
    for table in tables:
        grid = _grid(table, "latex_booktabs", _keep_from_rows)
        lines = [
            r"\begin{table}",
            r"\centering",
            rf"\caption{{{_latex(table.title)}}}",
            grid.replace(_BRACKET, "{[}").replace(_STAR, "{*}"),
            *(rf"\par\footnotesize {_latex(note)}" for note in table.notes),
            r"\end{table}",
        ]
        parts.append("\n".join(lines))
    return "\n\n".join([*parts, *(rf"\noindent {_latex(note)}" for note in notes)]) + "\n"


def as_html(tables: Sequence[BoardTable], notes: Sequence[str]) -> str:
    """Return one self-contained page that loads no file and runs no script."""
    sections = [
        "\n".join(
            [
                f"<section>\n<h2>{_html(table.title)}</h2>",
                _grid(table, "html", clean),
                *(f"<p>{_html(note)}</p>" for note in table.notes),
                "</section>",
            ]
        )
        for table in tables
    ]
    return "\n".join(
        [
            '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">',
            '<meta http-equiv="Content-Security-Policy" '
            "content=\"default-src 'none'; style-src 'unsafe-inline'\">",
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            f"<title>Leaderboard</title>\n<style>{_STYLE}</style>\n</head>\n<body>",
            "<h1>Leaderboard</h1>",
            *sections,
            *(f"<p>{_html(note)}</p>" for note in notes),
            "</body>\n</html>\n",
        ]
    )


def as_csv(frame: pd.DataFrame) -> str:
    """Return the flat list with one header line; no text cell can be a spreadsheet's formula."""
    return frame.map(_csv_cell).to_csv(index=False, lineterminator="\n")


def as_json(frame: pd.DataFrame) -> str:
    """Return the flat list as an array of objects, null for missing values."""
    lines = [
        {str(name): _rounded(value) for name, value in line.items()}
        for line in frame.to_dict(orient="records")
    ]
    return json.dumps(lines, indent=1, allow_nan=False) + "\n"


PAGES: dict[str, Callable[[Sequence[BoardTable], Sequence[str]], str]] = {
    "table": as_table,
    "markdown": as_markdown,
    "latex": as_latex,
    "html": as_html,
}
LISTS: dict[str, Callable[[pd.DataFrame], str]] = {"csv": as_csv, "json": as_json}


def render(board: Board, form: str, show: Show = "all") -> tuple[str, list[str]]:
    """Return the board in a form of ``PAGES`` or ``LISTS``, and the notes that the form leaves out.

    A flat list has one kind of row: noise-detection quality if ``show`` is "noise", else
    accuracies.
    """
    notes = [note for _, note in board.notes]
    if form in LISTS:
        frame = flat(board.noise, NoiseRow) if show == "noise" else flat(board.rows, BoardRow)
        return LISTS[form](frame), notes
    tables = score_tables(board.rows) if show != "noise" else []
    if show != "scores":
        # The measured tables stay together, before tables of published rows only.
        measured = sum("measured" in table.title.rpartition("(")[2] for table in tables)
        tables[measured:measured] = noise_tables(board.noise)
    return PAGES[form](tables, notes), []


def _grid(table: BoardTable, style: str, escape: Callable[[str], str]) -> str:
    """Lay out the escaped cells in one of tabulate's styles."""
    return tabulate(
        [[escape(cell) for cell in line] for line in table.frame.to_numpy().tolist()],
        headers=[escape(name) for name in table.frame.columns],
        tablefmt=style,
        disable_numparse=True,
        colalign=_sides(table),
    )


def _sides(table: BoardTable) -> list[str]:
    return ["left" if name in table.left else "right" for name in table.frame.columns]


def _plain(table: BoardTable) -> str:
    """Lay out for a terminal: long headers wrapped, the methods' column in the remaining width."""
    names = [clean(name) for name in table.frame.columns]
    lines = [[clean(cell) for cell in line] for line in table.frame.to_numpy().tolist()]
    widths = [
        max(
            min(len(name), _HEADER) + MIN_PADDING,
            *(min(len(line[place]), _WIDEST) for line in lines),
        )
        for place, name in enumerate(names)
    ]
    method = names.index("method")
    left = WIDTH - sum(widths) + widths[method] - 2 * (len(widths) - 1)
    limits = [_WIDEST] * len(names)
    limits[method] = max(left, _NARROWEST)
    return tabulate(
        lines,
        headers=names,
        tablefmt="simple",
        disable_numparse=True,
        colalign=_sides(table),
        maxcolwidths=limits,
        maxheadercolwidths=[max(width, _HEADER) for width in widths],
    )


def _markdown(value: str) -> str:
    """Escape the markup of Markdown and HTML."""
    text = html.escape(clean(value), quote=False)
    text = re.sub(r"([\\`*\[\]|~#])", r"\\\1", text)
    return re.sub(r"(?<![^\W_])_|_(?![^\W_])", r"\\_", text)


def _keep_from_rows(value: str) -> str:
    r"""Hide what ``\\``, the end of the row before, would take as its argument."""
    return clean(value).replace("[", _BRACKET).replace("*", _STAR)


def _latex(value: str) -> str:
    return "".join(LATEX_ESCAPE_RULES.get(character, character) for character in clean(value))


def _html(value: str) -> str:
    return html.escape(clean(value))


def _csv_cell(value: Any) -> Any:
    if isinstance(value, str):
        text = clean(value)
        return f"'{text}" if text.startswith(("=", "+", "-", "@")) else text
    return _rounded(value)


def _rounded(value: Any) -> Any:
    """Round numbers to a millionth, so that binary rounding errors are not printed."""
    return round(value, 6) if isinstance(value, float) else value
