"""Comparisons and ablations as pages of one file, in the look of the board's site."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from harness.pages.plots import Effect, forest
from harness.pages.render import single_page
from harness.scores import METRICS, metric_label
from harness.statistics.intervals import Interval
from harness.studies.ablation import Ablation
from harness.studies.contributions import TrickEffect
from harness.studies.run_comparison import RunComparison

TEMPLATES = Path(__file__).parent / "templates"
SUFFIX = ".html"
SHOWN = 12  # categories of each sign
PARTS = {0: "left out", 1: "alone"}


def comparison_page(found: RunComparison) -> str:
    """Return the page of a comparison; the same comparison gives the same bytes."""
    rose, fell = found.top(SHOWN, positive=True), found.top(SHOWN, positive=False)
    effects = [
        Effect(
            one.name or f"class {one.label}",
            (100 * one.difference, 100 * one.low, 100 * one.high),
            None,
            "better" if one.difference > 0 else "worse",
        )
        for one in (*rose, *reversed(fell))
    ]
    picture = forest(
        effects,
        x="difference, points, with 95 % intervals",
        label=f"The {len(effects)} categories that changed most",
    )
    values = {
        "found": found,
        "metric": metric_label(found.metric),
        "picture": picture if effects else "",
    }
    return single_page(TEMPLATES, "comparison.html", values)


def ablation_page(
    plan: Ablation, found: Sequence[Sequence[TrickEffect]], split: str, levels: Iterable[str]
) -> str:
    """Return the page of an ablation: ``found`` has each trick's effect left out, and alone.

    ``levels`` are lines on the accuracy of the method and of the baselines.
    """
    values = {
        "label": plan.method.label,
        "data": str(plan.method.data),
        "split": split,
        "seeds": len(plan.seeds),
        "levels": list(levels),
        "pictures": list(_pictures(plan, found)),
        "rows": list(_rows(plan, found)),
    }
    return single_page(TEMPLATES, "ablation.html", values)


def _pictures(plan: Ablation, found: Sequence[Sequence[TrickEffect]]) -> Iterable[tuple[str, Any]]:
    for place, how in PARTS.items():
        effects = [
            Effect(row.trick.name, _points(worths[place].intervals["top1"]), None, "s0")
            for row, worths in zip(plan.rows, found, strict=True)
            if worths[place].intervals
        ]
        if effects:
            title = f"{how.capitalize()}, top-1"
            x = "points that the trick adds, with 95 % intervals"
            yield title, forest(effects, x=x, label=f"What each trick adds, {how}, in top-1")


def _rows(plan: Ablation, found: Sequence[Sequence[TrickEffect]]) -> Iterable[dict[str, Any]]:
    for row, worths in zip(plan.rows, found, strict=True):
        for place, how in PARTS.items():
            worth = worths[place]
            base = f"{how} on {row.alone.base}" if place and row.alone.base else how
            yield {
                "trick": row.trick.name,
                "slots": ", ".join(row.trick.slots),
                "stages": ", ".join(row.trick.stages) or "test",
                "how": base,
                "worth": [worth.intervals.get(metric) for metric in METRICS],
                "reason": worth.reason,
            }


def _points(interval: Interval) -> tuple[float, float, float]:
    return 100 * interval.estimate, 100 * interval.low, 100 * interval.high
