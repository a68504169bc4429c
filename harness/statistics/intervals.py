"""Accuracies and their differences, with intervals that cover both seeds and test images.

A table ``(S, N)`` holds the correctness of a method for each seed and test image: 1 or 0, or any
number whose mean is the metric (for a class mean, 1 / (share of the image's class x K) in place of
1). All values are shares; printed values are points, 100 times the shares.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from harness.errors import HarnessError

MOST_SEEDS = 1_000  # advice to run more would be of no use

SeedsByImages: TypeAlias = NDArray[np.float64]
SeedTerm: TypeAlias = tuple[float, int]  # the variance between seeds, and their number


@dataclass(frozen=True, kw_only=True)
class Interval:
    """A mean, or a difference of means, with its confidence interval.

    The error of the estimate comes from the choice of ``seeds`` seeds and of ``images`` images:

        se^2 = A + B,   A = sum of A_m,   A_m = v_m / S_m,   B = image_variance / images
        df = se^2 / (A / f + B / (images - 1)),   f = A^2 / sum of (A_m^2 / (S_m - 1))
        low, high = estimate -/+ t se

    where v_m is a seed term's variance between seeds, S_m its seeds, f Welch's degrees of freedom
    of the seeds (S - 1 for one term), and t Student's quantile with df of them.

    ``seed_terms`` holds one pair (v_m, S_m) for a paired difference or a single method, two for
    methods that do not share seeds. It is empty if a method has one seed: then the variance between
    seeds is unknown, and the interval covers image sampling only. ``seeds`` is the smallest number
    of any method. With few images the bounds may leave [0, 1].

    **Source:** our choice. Satterthwaite's df would be se^4 / (A^2 / f + B^2 / (images - 1)); with
    three seeds it covers 92 % at worst, this one 94 % (docs/statistics.md).
    """

    estimate: float
    low: float
    high: float
    seeds: int
    images: int
    seed_terms: tuple[SeedTerm, ...]
    image_variance: float
    confidence: float

    @classmethod
    def of(
        cls,
        estimate: float,
        *,
        seed_terms: tuple[SeedTerm, ...],
        image_variance: float,
        images: int,
        confidence: float = 0.95,
    ) -> Interval:
        """Return an estimate with its bounds; raises HarnessError unless 0 < confidence < 1."""
        if not 0 < confidence < 1:
            raise HarnessError(
                f"confidence must be in (0, 1), got {confidence}; choose one such as 0.95"
            )
        error, degrees = _error_and_degrees(seed_terms, image_variance, images)
        half = error * _quantile(degrees, confidence)
        return cls(
            estimate=estimate,
            low=estimate - half,
            high=estimate + half,
            seeds=min((count for _, count in seed_terms), default=1),
            images=images,
            seed_terms=seed_terms,
            image_variance=image_variance,
            confidence=confidence,
        )

    def __str__(self) -> str:
        """Return the interval in points, with signs: "+2.35 [+0.41, +4.29]"."""
        return self.in_points(sign="+")

    def in_points(self, sign: Literal["", "+"] = "") -> str:
        """Return the interval in points: "62.35 [60.41, 64.29]"; "+" is for differences."""
        estimate, low, high = (
            f"{100 * share:{sign}.2f}" for share in (self.estimate, self.low, self.high)
        )
        return f"{estimate} [{low}, {high}]"

    def p_value(self, truth: float = 0.0) -> float:
        """Return the two-sided p-value of ``truth``; outside the bounds it is < 1 - confidence."""
        from scipy.special import stdtr

        error, degrees = _error_and_degrees(self.seed_terms, self.image_variance, self.images)
        distance = abs(self.estimate - truth)
        if error == 0:
            return float(distance == 0)
        return float(2 * stdtr(degrees, -distance / error))

    def half_width(self, seeds: float) -> float:
        """Return the half-width with ``seeds`` seeds of each method, 2 or more.

        The variances are those estimated now. With infinite seeds, the variance of the images
        remains.
        """
        terms = ((variance, seeds) for variance, _ in self.seed_terms)
        error, degrees = _error_and_degrees(terms, self.image_variance, self.images)
        return error * _quantile(degrees, self.confidence)

    def seeds_for(self, half_width: float) -> int | None:
        """Return the smallest total number of seeds with a half-width below ``half_width``.

        None if more than ``MOST_SEEDS`` would be needed, or if the variance of seeds is unknown.
        """
        if not self.seed_terms or not self.half_width(MOST_SEEDS) < half_width:
            return None
        return bisect_left(
            range(MOST_SEEDS), 1, lo=2, key=lambda count: self.half_width(count) < half_width
        )


def _quantile(degrees: float, confidence: float) -> float:
    from scipy.special import stdtrit

    return float(stdtrit(degrees, (1 + confidence) / 2))


def _error_and_degrees(
    seed_terms: Iterable[tuple[float, float]], image_variance: float, images: int
) -> tuple[float, float]:
    """Return the standard error and its degrees of freedom."""
    parts = [(variance / count, count - 1) for variance, count in seed_terms]
    from_seeds, from_images = sum(part for part, _ in parts), image_variance / images
    per_degree = from_images / (images - 1)
    if from_seeds:
        per_degree += sum(part**2 / degrees for part, degrees in parts) / from_seeds
    total = from_seeds + from_images
    return math.sqrt(total), total / per_degree if per_degree else images - 1


def mean_accuracy(correct_SN: ArrayLike, *, confidence: float = 0.95) -> Interval:
    """Return the accuracy of one method, ``(S, N)`` or ``(N,)``, over its seeds and test images."""
    return _crossed([_table(correct_SN, "correct")], confidence)


def paired_difference(
    better_SN: ArrayLike, worse_SN: ArrayLike, *, confidence: float = 0.95
) -> Interval:
    """Return the difference ``better`` - ``worse`` on shared seeds and images, ``(S, N)`` each.

    Row s of both has the same seed, column i the same image. The differences d are a two-way
    table, d_si = mu + a_s + b_i + e_si, so that

        v = variance over seeds of mean_i d_si                            ((S - 1) in the divisor)
        image_variance = max(0, variance over images of mean_s d_si - MS_e / S)
        MS_e = sum of (d_si - d_s. - d_.i + d_..)^2 / ((S - 1) (N - 1))
        se^2 = v / S + image_variance / N

    which is the unbiased (MS_seed + MS_image - MS_e) / (S N) of the analysis of variance.

    Raises:
        HarnessError: The tables differ in shape, or one is empty or not finite.

    **Source:** our choice; two-way random effects without replication, any textbook of ANOVA.
    """
    better, worse = _table(better_SN, "better"), _table(worse_SN, "worse")
    if better.shape != worse.shape:
        raise HarnessError(
            f"a paired difference needs the same seeds and images: better has {better.shape}, "
            f"worse {worse.shape}; use unpaired_difference if seeds differ"
        )
    return _crossed([better - worse], confidence)


def unpaired_difference(
    better_SN: ArrayLike, worse_TN: ArrayLike, *, confidence: float = 0.95
) -> Interval:
    """Return the difference ``better`` - ``worse`` on the same images with different seeds.

    The shapes are ``(S, N)`` and ``(T, N)``. The formula is that of ``paired_difference``, except
    that each method has its own seed term and MS_e / S becomes the sum of both methods' MS_e / S.

    Raises:
        HarnessError: The images differ in number, or a table is empty or not finite.
    """
    better, worse = _table(better_SN, "better"), _table(worse_TN, "worse")
    if better.shape[1] != worse.shape[1]:
        raise HarnessError(
            f"a difference needs the same test images: better has {better.shape[1]}, "
            f"worse {worse.shape[1]}; score both runs on one split"
        )
    return _crossed([better, -worse], confidence)


def _crossed(tables: list[SeedsByImages], confidence: float) -> Interval:
    """Return the interval of the sum of the tables' means: separate seeds, shared images."""
    images = tables[0].shape[1]
    seeds = min(len(table) for table in tables)
    by_image = sum((table.mean(axis=0) for table in tables), np.zeros(images))
    image_variance = float(by_image.var(ddof=1))
    seed_terms: list[SeedTerm] = []
    if seeds > 1:
        for table in tables:
            by_seed = table.mean(axis=1)
            residual = table - by_seed[:, None] - table.mean(axis=0) + by_seed.mean()
            freedom = (len(table) - 1) * (images - 1)
            image_variance -= float((residual**2).sum()) / freedom / len(table)
            seed_terms.append((float(by_seed.var(ddof=1)), len(table)))
    return Interval.of(
        float(by_image.mean()),
        seed_terms=tuple(seed_terms),
        image_variance=max(0.0, image_variance),
        images=images,
        confidence=confidence,
    )


def _table(values: ArrayLike, name: str) -> SeedsByImages:
    table = np.atleast_2d(np.asarray(values, np.float64))
    if table.ndim != 2 or table.shape[0] < 1 or table.shape[1] < 2:
        raise HarnessError(
            f"{name} has the shape {table.shape}; give (seeds, images), at least 1 x 2"
        )
    if not np.isfinite(table).all():
        raise HarnessError(
            f"{name} has values that are not finite; give 1 for correct, 0 for wrong"
        )
    return table
