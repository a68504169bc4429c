"""A comparison as text: by seed, overall, and the categories that changed most."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from harness.scores import metric_label
from harness.statistics.paired import mcnemar
from harness.terminal import visible, visible_in

if TYPE_CHECKING:
    from harness.studies.comparison import Category, RunComparison

TOP = 8  # categories of each sign, as on a slide


def comparison_text(found: RunComparison) -> str:
    """Return the comparison as text."""
    return "\n\n".join(_parts(found))


def _parts(found: RunComparison) -> Iterator[str]:
    share = found.difference
    covered = "seeds and images" if share.seeds > 1 else "image sampling only: one seed"
    split = f"{found.split} ({found.images:,} images)"
    yield (
        f"{visible(found.before)}  ->  {visible(found.after)}\n"
        f"{visible(found.edition)}, {split}, {visible(found.protocol)}, "
        f"{metric_label(found.metric)}"
    )
    yield _table(
        ("seed", "before %", "after %", "gained", "lost", "McNemar p"),
        [
            (
                "/".join(map(str, dict.fromkeys(pair.seeds))),
                f"{100 * pair.before:.2f}",
                f"{100 * pair.after:.2f}",
                pair.gained,
                pair.lost,
                f"{pair.p_value:.2g}",
            )
            for pair in found.pairs
        ],
    )
    yield (
        f"difference: {share} points, p {share.p_value():.2g} "
        f"(95 % interval; covers {covered})\n"
        f"categories: {found.improved} improved, {found.reduced} reduced, {found.unchanged} "
        f"unchanged (sign test p = {mcnemar(found.improved, found.reduced):.2g})"
    )
    for title, positive in (("top positive categories", True), ("top negative categories", False)):
        top = found.top(TOP, positive=positive)
        yield f"{title}\n{_categories(top)}" if top else f"{title}: none"


def _categories(top: Sequence[Category]) -> str:
    return _table(
        ("label", "category", "images", "before %", "after %", "points", "95 %", "p", "q"),
        [
            (
                one.label,
                one.name,
                one.images,
                f"{100 * one.before:.1f}",
                f"{100 * one.after:.1f}",
                f"{100 * one.difference:+.1f}",
                f"{100 * one.low:+.1f} to {100 * one.high:+.1f}",
                f"{one.p_value:.2g}",
                f"{one.q_value:.2g}",
            )
            for one in top
        ],
    )


def _table(head: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    from tabulate import tabulate

    align = tuple("left" if name in ("seed", "category") else "right" for name in head)
    return tabulate(visible_in(rows), head, disable_numparse=True, colalign=align)
