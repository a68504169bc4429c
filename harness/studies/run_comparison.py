"""What a comparison found: by seed, overall and by category, and as text."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape
from typing import NamedTuple

from harness.scores import Metric, metric_label
from harness.statistics.intervals import Interval
from harness.statistics.paired import mcnemar
from harness.terminal import visible, visible_in

TOP = 8  # categories of each sign, as on a slide


class SeedPair(NamedTuple):
    """One run of each side: accuracies as shares, images gained and lost, McNemar's p-value."""

    seeds: tuple[int, int]
    before: float
    after: float
    gained: int
    lost: int
    p_value: float


@dataclass(frozen=True, kw_only=True)
class Category:
    """The accuracies of one category, as shares, over all its images and all seeds.

    ``low`` to ``high`` is the 95 % interval of the paired bootstrap over its images, each with its
    mean over the seeds. ``gained`` images are correct in more seeds after than before, ``lost``
    ones in fewer. ``p_value`` is the sign test on these counts (McNemar's test if there is one
    seed). ``q_value`` is adjusted for the number of categories (Benjamini and Hochberg).
    """

    label: int
    name: str
    images: int
    before: float
    after: float
    difference: float
    low: float
    high: float
    gained: int
    lost: int
    p_value: float
    q_value: float


@dataclass(frozen=True, kw_only=True, repr=False)
class RunComparison:
    """The change from one side to the other under one split, protocol and metric.

    The interval of ``difference`` covers seeds and images; with one seed, image sampling only.

    **Source:** Malong deck, "Comparisons: Model B & D": categories improved, reduced and unchanged,
    top positive and top negative categories. Intervals and p-values are our addition.
    """

    before: str
    after: str
    edition: str
    split: str
    protocol: str
    metric: Metric
    images: int
    pairs: tuple[SeedPair, ...]
    difference: Interval
    categories: tuple[Category, ...]

    def __repr__(self) -> str:
        """Return the text of ``harness compare``."""
        return comparison_text(self)

    def _repr_html_(self) -> str:
        return f"<pre>{escape(repr(self))}</pre>"

    @property
    def improved(self) -> int:
        """The number of categories that rose."""
        return sum(one.difference > 0 for one in self.categories)

    @property
    def reduced(self) -> int:
        """The number of categories that fell."""
        return sum(one.difference < 0 for one in self.categories)

    @property
    def unchanged(self) -> int:
        """The number of categories with as many correct answers as before."""
        return len(self.categories) - self.improved - self.reduced

    def top(self, count: int, *, positive: bool) -> tuple[Category, ...]:
        """Return at most ``count`` categories: those that rose, or fell, most."""
        sign = 1 if positive else -1
        moved = [one for one in self.categories if sign * one.difference > 0]
        moved.sort(key=lambda one: (-sign * one.difference, one.p_value, one.label))
        return tuple(moved[:count])


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
