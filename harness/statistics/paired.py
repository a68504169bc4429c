"""Two runs on the same test images: what changed, overall and category by category.

Two runs are two seeds at most, so nothing here speaks of seeds: it is about these two networks. For
the methods behind them, see ``harness.statistics.intervals``.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from harness.errors import HarnessError

CONFIDENCE = 0.95

Rightness = NDArray[np.bool_]


@dataclass(frozen=True, kw_only=True)
class Change:
    """How one set of test images fared from one run to another, in shares.

    ``gained`` images became right, ``lost`` ones wrong. ``low`` to ``high`` is the 95 % percentile
    interval of the paired bootstrap over the images; where no image changed it is 0 to 0.
    ``p_value`` is McNemar's, exact: had the changes no tendency, ``gained`` of
    ``gained + lost`` would be tosses of a coin.
    """

    images: int
    before: float
    after: float
    gained: int
    lost: int
    low: float
    high: float
    p_value: float

    @property
    def difference(self) -> float:
        """After minus before."""
        return (self.gained - self.lost) / self.images


@dataclass(frozen=True, kw_only=True)
class Category(Change):
    """One category's change; ``label`` is its class.

    ``q_value`` is the p-value adjusted for the many categories (Benjamini and Hochberg): of those
    below 0.05, at most one in twenty is expected to be luck.
    """

    label: int
    q_value: float


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """Two runs on the same images: overall, and every category that has images, by label.

    **Source:** Malong deck, "Comparisons: Model B & D": categories improved, reduced and unchanged,
    top positive and top negative ones. Intervals and p-values are our addition.
    """

    overall: Change
    categories: tuple[Category, ...]

    @property
    def improved(self) -> int:
        """The number of categories in which more images are right than before."""
        return sum(category.gained > category.lost for category in self.categories)

    @property
    def reduced(self) -> int:
        """The number of categories in which fewer images are right than before."""
        return sum(category.gained < category.lost for category in self.categories)

    @property
    def unchanged(self) -> int:
        """The number of categories in which as many images are right as before."""
        return len(self.categories) - self.improved - self.reduced

    def top_positive(self, count: int) -> tuple[Category, ...]:
        """Return the ``count`` categories, or as many as improved, that improved most."""
        ranked = sorted(self.categories, key=lambda one: (-one.difference, one.p_value, one.label))
        return tuple(one for one in ranked if one.difference > 0)[:count]

    def top_negative(self, count: int) -> tuple[Category, ...]:
        """Return the ``count`` categories, or as many as were reduced, that fell most."""
        ranked = sorted(self.categories, key=lambda one: (one.difference, one.p_value, one.label))
        return tuple(one for one in ranked if one.difference < 0)[:count]


def compare(
    before_N: ArrayLike,
    after_N: ArrayLike,
    labels_N: ArrayLike,
    *,
    resamples: int = 2_000,
    seed: int = 0,
) -> Comparison:
    """Compare two runs by which images each has right, ``(N,)`` of True and False each.

    Raises:
        HarnessError: The three differ in length, are empty, or rightness is not 0 or 1.
    """
    from scipy.stats import false_discovery_control

    before, after, labels = _rightness(before_N), _rightness(after_N), np.asarray(labels_N)
    if not before.shape == after.shape == labels.shape or before.ndim != 1 or not len(before):
        raise HarnessError(
            f"two runs are compared image by image: before has {before.shape}, after "
            f"{after.shape}, labels {labels.shape}; score both on one split"
        )
    random = np.random.default_rng(seed)
    order = np.argsort(labels, kind="stable")
    classes, starts = np.unique(labels[order], return_index=True)
    changes = [
        _change(before[rows], after[rows], resamples, random)
        for rows in np.split(order, starts[1:])
    ]
    q_values = false_discovery_control([change.p_value for change in changes])
    return Comparison(
        overall=_change(before, after, resamples, random),
        categories=tuple(
            Category(label=int(label), q_value=float(q), **vars(change))
            for label, q, change in zip(classes, q_values, changes, strict=True)
        ),
    )


def mcnemar(gained: int, lost: int) -> float:
    """Return McNemar's exact two-sided p-value: 2 P(X <= min(gained, lost)), at most 1.

    X is binomial with gained + lost tosses of a fair coin. **Source:** the exact form, any
    textbook.
    """
    from scipy.stats import binom

    return min(1.0, float(2 * binom.cdf(min(gained, lost), gained + lost, 0.5)))


def bootstrap_mean(
    values_N: ArrayLike, *, resamples: int = 2_000, seed: int = 0
) -> tuple[float, float]:
    """Return the 95 % percentile interval of the mean of ``values_N`` over resampled images.

    For a paired bootstrap give the differences. Drawing N images with replacement is drawing how
    often each *distinct* value occurs from a multinomial: the same distribution, at a cost that
    does not grow with N where there are few values.
    """
    return _bootstrap(np.asarray(values_N), resamples, np.random.default_rng(seed))


def _bootstrap(
    values_N: NDArray[np.generic], resamples: int, random: np.random.Generator
) -> tuple[float, float]:
    values, counts = np.unique(values_N, return_counts=True)
    size = int(counts.sum())
    means = random.multinomial(size, counts / size, resamples) @ values / size
    low, high = np.quantile(means, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    return float(low), float(high)


def _change(
    before: Rightness, after: Rightness, resamples: int, random: np.random.Generator
) -> Change:
    gained, lost = int((after & ~before).sum()), int((before & ~after).sum())
    low, high = _bootstrap(after.astype(np.int8) - before.astype(np.int8), resamples, random)
    return Change(
        images=len(before),
        before=float(before.mean()),
        after=float(after.mean()),
        gained=gained,
        lost=lost,
        low=low,
        high=high,
        p_value=mcnemar(gained, lost),
    )


def _rightness(values_N: ArrayLike) -> Rightness:
    values = np.asarray(values_N)
    if not np.isin(values, (0, 1)).all():
        raise HarnessError("rightness is 1 or 0 for every image; other values were found")
    return values.astype(bool)
