"""Which classes a trained stage takes for one another."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


def confused_classes(
    label_N: NDArray[np.integer[Any]],
    predicted_N: NDArray[np.integer[Any]],
    *,
    num_classes: int,
    count: int,
) -> list[list[int]]:
    """Return for each of K classes up to ``count`` others, the most confused first.

    Of classes k and j, ``C_kj / n_k + C_jk / n_j`` says how confused they are: C_kj samples are
    labelled k and predicted j, n_k are labelled k. Classes that are not confused are not returned;
    of equally confused ones the lower comes first. No K x K matrix is made.

    **Source:** Huawei deck, "Handle noise - clustering": "focus more on confused classes". How
    confusion is measured is assumed: the share of each class, so that large ones do not always win.
    """
    from scipy.sparse import coo_array

    sizes = np.bincount(label_N, minlength=num_classes)
    wrong = label_N != predicted_N
    label, predicted = label_N[wrong], predicted_N[wrong]
    shape = (num_classes, num_classes)
    rates = coo_array((1 / sizes[label], (label, predicted)), shape=shape).tocsr()
    both = (rates + rates.T).tocsr()
    both.sort_indices()
    others = []
    for start, end in zip(both.indptr[:-1], both.indptr[1:], strict=True):
        most = np.argsort(-both.data[start:end], kind="stable")[:count]
        others.append(both.indices[start:end][most].tolist())
    return others
