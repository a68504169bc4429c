"""The order in which the search engines returned the samples of a class."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


def top_ranked(
    label_N: NDArray[np.integer[Any]],
    rank_N: NDArray[np.integer[Any]],
    query_N: NDArray[np.integer[Any]],
    *,
    count: int,
) -> NDArray[np.bool_]:
    """Mark the first ``count`` samples of every class: ``(N,)`` columns to ``(N,)``.

    The first results of all its queries come before the second ones; of equal ranks the lower query
    comes first, then the sample that is first in the list.
    """
    order = np.lexsort((query_N, rank_N, label_N))
    label = label_N[order]
    place = np.arange(len(order)) - np.searchsorted(label, label)
    marked = np.zeros(len(order), np.bool_)
    marked[order[place < count]] = True
    return marked
