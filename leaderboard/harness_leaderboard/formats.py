"""Tables and flat lists as text. Records may come from others, so their text is escaped."""

from __future__ import annotations

import html
import json
import re
import textwrap
from collections.abc import Callable, Collection, Sequence
from functools import partial
from typing import Any

import pandas as pd
from tabulate import LATEX_ESCAPE_RULES, MIN_PADDING, tabulate

from harness.terminal import visible
from harness_leaderboard.table import BoardTable

WIDTH = 100  # characters that a plain table may take where the terminal does not say
_NARROWEST, _WIDEST = 16, 30  # characters of a column: of methods at least, of others at most
_HEADER = 14
_LONGEST = 600  # characters of any one text

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


def as_table(tables: Sequence[BoardTable], notes: Sequence[str], width: int = WIDTH) -> str:
    """Return plain text for a terminal of ``width`` characters: columns left out, words wrapped."""
    wrapped = partial(textwrap.fill, width=width, break_on_hyphens=False)
    parts = []
    for table in tables:
        grid, left_out = _plain(table, width)
        lines = map(wrapped, map(clean, (*_notes(table, left_out), *_told(left_out))))
        parts.append(f"{wrapped(clean(table.title))}\n\n{grid}\n\n" + "\n".join(lines))
    if notes:
        parts.append("\n".join(map(wrapped, map(clean, notes))))
    return "\n\n\n".join(part.rstrip("\n") for part in parts) + "\n"


def as_markdown(tables: Sequence[BoardTable], notes: Sequence[str]) -> str:
    """Return GitHub's Markdown, with a heading for each table."""
    parts = []
    for table in tables:
        lines = [f"### {_markdown(table.title)}", "", _grid(table, "pipe", _markdown)]
        parts += ["\n".join(lines), *map(_markdown, _notes(table))]
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
            *(rf"\par\footnotesize {_latex(note)}" for note in _notes(table)),
            r"\end{table}",
        ]
        parts.append("\n".join(lines))
    return "\n\n".join([*parts, *(rf"\noindent {_latex(note)}" for note in notes)]) + "\n"


def as_html(tables: Sequence[BoardTable], notes: Sequence[str]) -> str:
    """Return one self-contained page that loads no file and runs no script."""
    return "\n".join(
        [
            '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">',
            '<meta http-equiv="Content-Security-Policy" '
            "content=\"default-src 'none'; style-src 'unsafe-inline'\">",
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            f"<title>Leaderboard</title>\n<style>{_STYLE}</style>\n</head>\n<body>",
            "<h1>Leaderboard</h1>",
            sections(tables, notes),
            "</body>\n</html>\n",
        ]
    )


def sections(tables: Sequence[BoardTable], notes: Sequence[str]) -> str:
    """Return the tables and notes as HTML without a page around them, all text escaped."""
    parts = [
        "\n".join(
            [
                f"<section>\n<h2>{_html(table.title)}</h2>",
                _grid(table, "html", clean),
                *(f"<p>{_html(note)}</p>" for note in _notes(table)),
                "</section>",
            ]
        )
        for table in tables
    ]
    return "\n".join([*parts, *(f"<p>{_html(note)}</p>" for note in notes)])


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
SUFFIXES = {
    ".txt": "table",
    ".md": "markdown",
    ".tex": "latex",
    ".html": "html",
    ".htm": "html",
    ".csv": "csv",
    ".json": "json",
}


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


def _notes(table: BoardTable, left_out: Collection[str] = ()) -> tuple[str, ...]:
    """Return what the columns mean, as far as they are shown, and the notes."""
    shown = [name for name in table.frame.columns if name not in left_out]
    told = [f"{name}: {table.legend[name]}" for name in shown if table.legend.get(name)]
    return (*([f"{'; '.join(told)}."] if told else []), *table.notes)


def _told(left_out: Sequence[str]) -> list[str]:
    """Return a line on the columns that did not fit."""
    return [f"Too narrow for: {', '.join(left_out)}; -o board.csv has all."] if left_out else []


def _plain(table: BoardTable, width: int) -> tuple[str, list[str]]:
    """Lay out for a terminal, the methods in the remaining width; second, what was left out."""
    frame, out = table.frame, list[str]()
    spare = [name for name in table.spare if name in frame.columns]
    longest = max((len(clean(name)) for name in frame["method"]), default=0)
    wanted = max(_NARROWEST, min(longest, _WIDEST))
    while (room := _room(frame, width)) < wanted and spare:
        out.append(spare.pop(0))
        frame = frame.drop(columns=out[-1])
    names = [clean(name) for name in frame.columns]
    limits: list[int] = [_WIDEST] * len(names)
    limits[names.index("method")] = max(room, _NARROWEST)
    grid = tabulate(
        [[clean(cell) for cell in line] for line in frame.to_numpy().tolist()],
        headers=names,
        tablefmt="simple",
        disable_numparse=True,
        colalign=["left" if name in table.left else "right" for name in frame.columns],
        maxcolwidths=limits,
        maxheadercolwidths=[_HEADER] * len(names),
    )
    return grid, out


def _room(frame: pd.DataFrame, width: int) -> int:
    """Return the characters that the other columns leave to the methods."""
    others = [
        max(
            min(len(clean(name)), _HEADER) + MIN_PADDING,
            *(min(len(clean(cell)), _WIDEST) for cell in frame[name]),
        )
        for name in frame.columns
        if name != "method"
    ]
    return width - sum(others) - 2 * len(others)


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
    if isinstance(value, (list, tuple)):
        value = " ".join(map(str, value))
    if isinstance(value, str):
        text = clean(value)
        return f"'{text}" if text.startswith(("=", "+", "-", "@")) else text
    return _rounded(value)


def _rounded(value: Any) -> Any:
    """Round numbers to a millionth, so that binary rounding errors are not printed."""
    return round(value, 6) if isinstance(value, float) else value
