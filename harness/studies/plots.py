"""Plots of comparisons. They need matplotlib, the extra ``plots``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from harness.figures import COLOURS, INK, PALE, draw_figure, picture_format
from harness.scores import metric_label
from harness.store.files import atomic_write
from harness.studies.run_comparison import Category, RunComparison

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

INCHES = (11.0, 5.5)
BETTER, WORSE = COLOURS[:2]
TOP = 8
NAME_SHOWN = 24


def draw_comparison(found: RunComparison, output: Path) -> None:
    """Draw the difference of every category, and the top categories with their intervals.

    The same comparison gives the same bytes. The suffix of ``output`` selects SVG or PNG.

    Raises:
        HarnessError: matplotlib is not installed, or ``output`` has another suffix or cannot be
            written.
    """

    def paint(figure: Figure) -> None:
        axes = figure.subplot_mosaic([["all", "top"]], width_ratios=[1.4, 1])
        figure.suptitle(
            _headline(found), x=0.01, ha="left", color=INK, fontsize=11, parse_math=False
        )
        _draw_all(axes["all"], found)
        _draw_top(axes["top"], found)

    picture = draw_figure(paint, INCHES, picture_format(output))
    atomic_write(output, lambda file: file.write(picture))


def _headline(found: RunComparison) -> str:
    return (
        f"{found.before}  →  {found.after}\n{found.edition}, {found.split}, {found.protocol}, "
        f"{metric_label(found.metric)}: {found.difference} points"
    )


def _draw_all(axes: Axes, found: RunComparison) -> None:
    """Draw all categories, from the most improved to the most reduced."""
    points = sorted((100 * one.difference for one in found.categories), reverse=True)
    places = range(1, len(points) + 1)
    for colour, values in (
        (BETTER, [max(0.0, value) for value in points]),
        (WORSE, [min(0.0, value) for value in points]),
    ):
        axes.fill_between(places, values, step="mid", color=colour, linewidth=0)
    axes.step(places, points, where="mid", color=INK, linewidth=0.8)
    axes.axhline(0, color=INK, linewidth=0.8)
    axes.set_xlim(0.4, len(points) + 0.6)
    axes.locator_params(axis="x", integer=True)
    axes.set_title(
        f"Categories: {found.improved:,} improved, {found.reduced:,} reduced, "
        f"{found.unchanged:,} unchanged"
    )
    axes.set_xlabel("categories, from the most improved to the most reduced")
    axes.set_ylabel("difference, points")
    axes.grid(axis="y")


def _draw_top(axes: Axes, found: RunComparison) -> None:
    """Draw the categories that changed most, each with its bootstrap interval."""
    rose, fell = found.top(TOP, positive=True), found.top(TOP, positive=False)
    shown = [*rose, *reversed(fell)]
    axes.set_title("Top categories, with 95 % intervals")
    for place, one in enumerate(reversed(shown)):
        estimate, low, high = (100 * x for x in (one.difference, one.low, one.high))
        axes.barh(place, estimate, height=0.7, color=BETTER if estimate > 0 else WORSE)
        axes.plot((low, high), (place, place), color=INK, linewidth=1)
    axes.axvline(0, color=PALE, linewidth=0.8)
    axes.set_yticks(range(len(shown)), _names(list(reversed(shown))), parse_math=False)
    axes.set_ylim(-0.6, max(1, len(shown)) - 0.4)
    axes.set_xlabel("difference, points")
    axes.grid(axis="x")


def _names(categories: Sequence[Category]) -> list[str]:
    return [f"{one.name[:NAME_SHOWN]} ({one.label})".lstrip() for one in categories]
