"""What the commands on data sets say of the user's own pictures."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from harness.terminal import visible, visible_in

if TYPE_CHECKING:
    from harness.data.own_pictures.check import OwnReport

MOST_CLASSES = 40  # that are listed
MOST_BROKEN = 20


def own_kind(path: str, edition: str) -> tuple[str, str]:
    """Return ("folder" or "csv", path) if these are a user's own pictures, else ("", path).

    They are if the path is written as --data takes it, if it is a file, or if it is a folder of
    folders with pictures that has none of WebVision's lists.
    """
    kind, _, rest = path.partition(":")
    if kind in ("folder", "csv") and rest:
        return kind, rest
    place = Path(path)
    if edition != "auto":
        return "", path
    if place.is_file():
        return "csv", path
    if not place.is_dir() or any((place / name).exists() for name in ("info", "meta", "info.tar")):
        return "", path
    from harness.data.own_pictures.tree import looks_like_classes

    return ("folder" if looks_like_classes(place) else ""), path


def own_tables(report: OwnReport) -> Iterator[str]:
    """Yield the report as text."""
    from tabulate import tabulate

    how = "drawn from their content" if report.drawn else "as given"
    head = f"{visible(report.path)}: {report.listed:,} pictures, {len(report.classes):,} classes"
    yield f"{head}, splits {how}" + (f"; on the board: {report.edition}" if report.edition else "")
    if report.classes:
        rows = [(name, *counts.values()) for name, counts in report.classes.items()]
        total = ("all", *map(report.of_split, ("train", "val", "test")))
        shown = [*rows[:MOST_CLASSES], *([("...",)] if len(rows) > MOST_CLASSES else []), total]
        names = ("class", "train", "val", "test")
        yield tabulate(visible_in(shown), headers=names, tablefmt="simple", intfmt=",")
    facts = []
    if report.sides:
        sides = sorted(report.sides)
        middle = sides[len(sides) // 2]
        facts.append(f"short sides: {sides[0]} to {sides[-1]} pixels, median {middle}")
    if report.clean is not None:
        facts.append(f"training labels that equal the clean label: {report.clean:.1%}")
    if facts:
        yield "\n".join(facts)
    if report.unreadable:
        more = len(report.unreadable) - MOST_BROKEN
        last = [f"and {more} more"] if more > 0 else []
        yield "\n".join(["pictures that cannot be read:", *report.unreadable[:MOST_BROKEN], *last])
    lines = [f"{finding.level}: {visible(finding.text)}" for finding in report.findings]
    end = "a run would stop" if report.stops_a_run else "nothing here would stop a run"
    yield "\n".join([*lines, end])
