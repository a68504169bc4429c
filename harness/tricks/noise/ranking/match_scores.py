"""Two uses of one score per sample: select the best of every class, or weigh by rank."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from harness.errors import PluginError
from harness.samples import Samples, rows_by_class

Use = Literal["select", "weigh"]
Scores = NDArray[np.float32]


def use_scores(
    samples: Samples, scores_N: Scores, use: Use, *, share: float, floor: float
) -> Samples:
    """Return the samples with new ``subset`` ("select") or ``weight`` ("weigh").

    Label as found, class by class. Samples that were left out (subset -1) are not counted and do
    not change. A NaN score marks a sample without text: it is not selected, unless no sample of its
    class has a score, and keeps its weight.

    Raises:
        PluginError: No remaining sample has a score.
    """
    if not np.isfinite(scores_N[samples.subset >= 0]).any():
        raise PluginError(
            "no text of these samples can be compared with the gloss of its class: there are no "
            "texts, or no glosses; leave the trick out, or choose data with both"
        )
    subset, weight = samples.subset.copy(), samples.weight.copy()
    for rows in rows_by_class(samples):
        scored = rows[np.isfinite(scores_N[rows])]
        if not len(scored):
            continue
        if use == "select":
            subset[rows] = -1
            best = scored[best_of(scores_N[scored], share=share)]
            subset[best] = samples.subset[best]
        else:
            weight[scored] *= rank_weights(scores_N[scored], floor=floor)
    return samples.assign(subset=subset, weight=weight)


def best_of(scores_N: Scores, *, share: float) -> NDArray[np.int64]:
    """Return the positions of the ``round(share * N)`` best scores, at least 1, in rising order.

    Of equal scores the first are taken, in the search engine's order.
    """
    count = max(1, round(share * len(scores_N)))
    return np.sort(np.argsort(-scores_N, kind="stable")[:count])


def rank_weights(scores_N: Scores, *, floor: float) -> NDArray[np.float32]:
    """Map the scores ``(N,)`` of one class to weights ``(N,)`` of mean 1, rising with their rank.

    w_i = floor + 2 (1 - floor) (r_i - 1/2) / N, where r_i from 1 to N is the rank from the lowest
    score up; equal scores get the mean of their ranks. All weights are in [floor, 2 - floor].

    Only the order counts, because cosines of different encoders and glosses have different ranges.
    The mean is 1 per class, so a class with a vague gloss does not lose total weight; other tricks
    decide the weights of classes.

    **Source:** our choice; see ``SemanticMatch``.
    """
    from scipy.stats import rankdata

    rank_N = rankdata(scores_N, method="average")
    weight_N = floor + 2 * (1 - floor) * (rank_N - 0.5) / len(scores_N)
    return np.asarray(weight_N, np.float32)
