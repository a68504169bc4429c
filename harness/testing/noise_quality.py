"""How well noise handling separates clean labels from wrong ones, if the truth is known."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from harness.samples import Samples
from harness.store.record import NoiseQuality

EQUAL = 1e-5  # weights that differ by less count as equal
RARE = 0.25  # the quarter of the classes with the fewest entries


def qualities(
    samples: Samples, handled: Mapping[str, Samples], truth: NDArray[np.int32] | None
) -> list[NoiseQuality]:
    """Score the noise handling of every stage that has any; empty if the truth is unknown.

    ``handled`` maps a stage's name to its samples after its noise tricks; ``truth`` is ``(N,)``.
    """
    if truth is None:
        return []
    return [
        noise_quality(stage, after, truth)
        for stage, after in handled.items()
        if np.any(after.subset != samples.subset)
        or np.any(_weight_of_label(after) != _weight_of_label(samples))
    ]


def noise_quality(stage: str, samples: Samples, truth: NDArray[np.int32]) -> NoiseQuality:
    """Score the weights that a stage's tricks give the labels; samples left out have weight 0.

    The AUC ranks each weight divided by the mean of its class: higher weights for rare classes are
    not a judgement of individual samples.
    """
    clean = truth == samples.label
    weight = _weight_of_label(samples)
    kept = (samples.subset >= 0) & (weight > 0)
    return NoiseQuality(
        stage=stage,
        auc=_auc(clean, _within_class(np.where(kept, weight, 0), samples)),
        kept=float(kept.mean()),
        precision=_share(clean[kept]),
        recall=_share(kept[clean]),
        rare_clean_lost=_share(~kept[clean & _rare(samples)]),
        clean=float(clean.mean()),
    )


def _weight_of_label(samples: Samples) -> NDArray[np.float32]:
    """Return each sample's weight, times that of its label if that is its only target."""
    targets = samples.targets
    if targets is None or not np.array_equal(targets.classes, samples.label[:, None]):
        return samples.weight
    weight: NDArray[np.float32] = samples.weight * targets.weights[:, 0]
    return weight


def _auc(clean: NDArray[np.bool_], weights: NDArray[np.float64]) -> float | None:
    if clean.all() or not clean.any() or np.ptp(weights) < EQUAL:
        return None
    from sklearn.metrics import roc_auc_score

    return float(roc_auc_score(clean, weights))


def _within_class(weights: NDArray[np.float32], samples: Samples) -> NDArray[np.float64]:
    """Return the weights divided by the mean of their class, rounded to float32's precision."""
    counts = np.bincount(samples.label, minlength=samples.num_classes)
    sums = np.bincount(samples.label, weights=weights, minlength=samples.num_classes)
    means = np.divide(sums, counts, out=np.ones(len(sums)), where=sums > 0)
    relative: NDArray[np.float64] = np.round(weights / means[samples.label], 6)
    return relative


def _rare(samples: Samples) -> NDArray[np.bool_]:
    counts = np.bincount(samples.label, minlength=samples.num_classes)
    rarest = np.argsort(counts, kind="stable")[: max(1, round(RARE * samples.num_classes))]
    return np.isin(samples.label, rarest)


def _share(flags: NDArray[np.bool_]) -> float | None:
    return float(flags.mean()) if len(flags) else None
