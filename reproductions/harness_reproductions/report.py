"""One self-contained HTML page of a reproduction: text, tables and plots.

Needs matplotlib, the extra ``plots``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from textwrap import shorten
from typing import TYPE_CHECKING, Any

from harness.figures import COLOURS, INK, PALE, draw_figure
from harness.store.files import write_text
from harness.terminal import visible

if TYPE_CHECKING:
    from matplotlib.figure import Figure

PAGE = "index.html"
COLOUR_OF = {
    "reproduced": COLOURS[2],
    "direction only": COLOURS[0],
    "contradicted": COLOURS[1],
    "inconclusive": PALE,
    "not run yet": "#FFFFFF",
    "not tested at this scale": "#EEEEEE",
}
SHOWN = 70  # characters of a claim beside its interval


def write_report(folder: Path, found: Mapping[str, Any]) -> Path:
    """Write the page of ``results`` into ``folder``, whole or not at all; return its path.

    The page loads no other file. Raises HarnessError if matplotlib is missing or the folder cannot
    be written.
    """
    path = folder / PAGE
    write_text(path, page(found))
    return path


def page(found: Mapping[str, Any]) -> str:
    """Return the page; the same results give the same bytes."""
    from jinja2 import Environment, StrictUndefined

    # Names may come from records of others, so all text is escaped except our own plots.
    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, finalize=_visible
    )
    template = environment.from_string((Path(__file__).parent / "report.html").read_text("utf-8"))
    tested = [claim for claim in found["claims"] if claim["measured"]]
    return template.render(
        found=found,
        tested=tested,
        colours=COLOUR_OF,
        counts_picture=_inline(_counts, found["verdicts"], (9.0, 0.9)),
        claims_picture=_inline(_claims, tested, (9.0, 0.7 + 0.27 * len(tested))) if tested else "",
    )


def _visible(value: object) -> object:
    """Make hidden characters of a text visible; our own plots are markup and unchanged."""
    from markupsafe import Markup

    return visible(value) if isinstance(value, str) and not isinstance(value, Markup) else value


def _inline(paint: Any, values: Any, inches: tuple[float, float]) -> Any:
    """Return a plot as markup of the page."""
    from markupsafe import Markup

    svg = draw_figure(lambda figure: paint(figure, values), inches).decode()
    return Markup(svg[svg.index("<svg") :])


def _counts(figure: Figure, verdicts: Mapping[str, int]) -> None:
    """Draw the number of claims per verdict as one bar."""
    axes = figure.subplots()
    left = 0
    for outcome, count in verdicts.items():
        if count:
            colour = COLOUR_OF[outcome]
            axes.barh(0, count, left=left, color=colour, edgecolor="white")
            ink = "white" if colour in COLOURS else INK
            axes.text(left + count / 2, 0, str(count), ha="center", va="center", color=ink)
        left += count
    axes.set_axis_off()
    axes.set_xlim(0, max(1, left))


def _claims(figure: Figure, claims: Sequence[Mapping[str, Any]]) -> None:
    """Draw each tested claim's measured difference with its interval, and the published one."""
    axes = figure.subplots()
    axes.axvline(0, color=INK, linewidth=0.8)
    for place, claim in enumerate(claims):
        measured = claim["measured"]
        colour = COLOUR_OF[claim["verdict"]]
        colour = INK if claim["verdict"] == "inconclusive" else colour
        axes.plot([measured["low"], measured["high"]], [place, place], color=colour)
        axes.plot(measured["mean"], place, "o", color=colour, markersize=5)
        if claim["published"] is not None:
            axes.plot(claim["published"], place, "D", color="none", markeredgecolor=INK)
    names = [
        f"{shorten(c['claim'], SHOWN, placeholder=' ...')}, {c['metric'].replace('top', 'top-')}"
        for c in claims
    ]
    axes.set_yticks(range(len(claims)), names)
    axes.set_ylim(len(claims) - 0.5, -0.5)
    axes.grid(axis="x")
    axes.set_xlabel("points of accuracy\ndot: measured, with its interval; diamond: published")
