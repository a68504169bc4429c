"""Plots of a check's counts: class sizes, sources, search ranks and texts.

Needs matplotlib, the extra ``plots``.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from harness.data.webvision.check.report import Report
from harness.data.webvision.lists.editions import EDITIONS
from harness.errors import HarnessError
from harness.figures import COLOURS, INK, PALE, draw_figure, picture_format
from harness.store.files import atomic_write

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

INCHES = (11.0, 7.5)
TEXTS = ("title", "description", "tags")
# Up to this number each class has its own bar.
FEW_CLASSES = 60
# Above this number the dots of an SVG are one image, or the file would exceed a megabyte.
MANY_CLASSES = 1_000
NAME_SHOWN = 30


def draw(report: Report, output: Path) -> None:
    """Draw a report to ``output``, an SVG or PNG, whole or not at all.

    The same report gives the same bytes.

    Raises:
        HarnessError: matplotlib is not installed, there is nothing to draw, or ``output`` has
            another suffix or cannot be written.
    """
    form = picture_format(output)
    if not report.classes:
        raise HarnessError(f"{report.root} has no training list to draw; try harness data check")
    content = draw_figure(lambda figure: _paint(figure, report), INCHES, form)
    atomic_write(output, lambda file: file.write(content))


def _paint(figure: Figure, report: Report) -> None:
    axes = figure.subplot_mosaic(
        [["classes"] * 3, ["sources", "ranks", "texts"]], height_ratios=[1.15, 1]
    )
    figure.suptitle(_headline(report), x=0.01, ha="left", color=INK, fontsize=11, parse_math=False)
    _draw_classes(axes["classes"], report)
    _draw_sources(axes["sources"], report)
    _draw_ranks(axes["ranks"], report)
    _draw_texts(axes["texts"], report)


def _headline(report: Report) -> str:
    whole = report.sources[-1]
    edition = EDITIONS[report.edition]
    name = edition.title
    if report.num_classes != edition.num_classes:  # a part of it, or the user's own data
        name = f"{Path(report.root).resolve().name[:NAME_SHOWN]}, laid out as {name}"
    parts = [
        name,
        f"{whole.entries:,} entries",
        f"{whole.files:,} files in folders by class",
        f"{len(report.classes):,} classes",
    ]
    if report.imbalance is not None:
        parts.append(f"largest {report.imbalance:,.1f} times the rarest")
    return "  ·  ".join(parts)


def _draw_classes(axes: Axes, report: Report) -> None:
    """Classes from the largest to the rarest, entries on a log scale."""
    by_size = sorted(report.classes, key=lambda known: -known.total)
    places = range(1, len(by_size) + 1)
    totals = [known.total for known in by_size]
    if len(by_size) <= FEW_CLASSES:
        axes.bar(places, totals, width=0.8, color=PALE, label="all")
    else:
        axes.fill_between(places, totals, step="mid", color=PALE, linewidth=0, label="all")
    sources = list(report.classes[0].entries)
    size = 14 if len(by_size) <= FEW_CLASSES else 3
    many = len(by_size) > MANY_CLASSES
    for source, colour in zip(sources, COLOURS, strict=False):
        counts = [known.entries[source] or float("nan") for known in by_size]
        axes.scatter(places, counts, s=size, color=colour, label=source, lw=0, rasterized=many)
    axes.set_yscale("log")
    axes.set_xlim(0.4, len(by_size) + 0.6)
    axes.set_ylim(bottom=0.7 * _least(report))
    axes.yaxis.set_major_formatter(lambda value, _place: f"{value:,.0f}")
    axes.yaxis.set_minor_formatter(lambda _value, _place: "")
    axes.locator_params(axis="x", integer=True)
    axes.set_title("Training entries per class")
    axes.set_xlabel("classes, from the largest to the rarest")
    axes.set_ylabel("entries (log scale)")
    axes.grid(axis="y")
    axes.legend(loc="upper right", ncols=len(sources) + 1, markerscale=2 if size < 10 else 1)


def _least(report: Report) -> int:
    """The smallest number of entries above 0 of any class and source."""
    counts = (count for known in report.classes for count in known.entries.values())
    return min(filter(None, counts), default=1)


def _draw_sources(axes: Axes, report: Report) -> None:
    """Entries of each source, and the files left with one folder per class."""
    lists = [count for count in report.sources if count.source != "all"]
    whole = sum(count.entries for count in lists)
    for row, (count, colour) in enumerate(zip(lists, COLOURS, strict=False)):
        place = len(lists) - 1 - row
        axes.barh(place, count.entries, height=0.6, color=colour, alpha=0.35)
        axes.barh(place, count.files, height=0.6, color=colour)
        text = (
            f"{count.source}: {count.entries / whole:.1%}\n"
            f"{count.entries:,} entries, {count.files:,} files"
        )
        axes.annotate(text, (0, place + 0.36), va="bottom", color=INK)
    axes.set_title("Sources (pale: colliding names)")
    axes.set_yticks([])
    axes.set_ylim(-0.5, len(lists) - 0.1)
    axes.spines["left"].set_visible(False)
    axes.set_xlabel("entries")
    axes.locator_params(axis="x", nbins=4)
    axes.xaxis.set_major_formatter(_thousands)
    axes.grid(axis="x")


def _draw_ranks(axes: Axes, report: Report) -> None:
    """How many queries reach each search rank: results at the end are noisier."""
    axes.set_title("Search ranks")
    if not any(report.ranks.values()):
        _say_nothing(axes, "the lists have no queries")
        return
    for (source, counts), colour in zip(report.ranks.items(), COLOURS, strict=False):
        axes.step(range(1, len(counts) + 1), counts, where="mid", color=colour, label=source)
    axes.set_xlabel("rank in the query's results")
    axes.set_ylabel("queries that reach it")
    axes.set_ylim(bottom=0)
    axes.set_xlim(left=0)
    axes.locator_params(integer=True)
    axes.grid()
    axes.legend(loc="upper right")


def _draw_texts(axes: Axes, report: Report) -> None:
    """Share of entries that have a title, a description, tags."""
    axes.set_title("Entries with text")
    if not report.texts:
        _say_nothing(axes, "no metadata lists")
        return
    width = 0.8 / len(report.texts)
    for number, (count, colour) in enumerate(zip(report.texts, COLOURS, strict=False)):
        shares = [count.title * 100, count.description * 100, count.tags * 100]
        places = [place - 0.4 + width * (number + 0.5) for place in range(len(TEXTS))]
        bars = axes.bar(places, shares, width * 0.92, color=colour, label=count.source)
        axes.bar_label(bars, fmt="%.0f", padding=1, color=INK, fontsize=8)
    axes.set_xticks(range(len(TEXTS)), TEXTS)
    axes.set_ylabel("percent of the source's entries")
    axes.set_ylim(0, 118)
    axes.set_yticks([0, 25, 50, 75, 100])
    axes.grid(axis="y")
    axes.legend(loc="upper right", ncols=len(report.texts))


def _say_nothing(axes: Axes, why: str) -> None:
    axes.set_axis_off()
    axes.annotate(why, (0.5, 0.5), xycoords="axes fraction", ha="center", color=INK)


def _thousands(value: float, _place: float) -> str:
    for unit, sign in ((1e6, "M"), (1e3, "k")):
        if value >= unit:
            return f"{value / unit:g}{sign}"
    return f"{value:g}"
