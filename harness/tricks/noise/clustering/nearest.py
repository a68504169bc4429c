"""The nearest samples by the angle between their features, in blocks of bounded memory."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness.tricks.noise.clustering.neighbours import times

Rows = NDArray[np.int64]
BLOCK = 8_192  # columns compared at a time: with 1,024 rows, 32 MB of similarities


def nearest(features_ND: NDArray[np.float32], rows: Rows, among: Rows, count: int) -> Rows:
    """Return for each of R ``rows`` the ``count`` nearest rows ``among`` A: ``(R, count)``.

    The nearest are those of the largest cosine; a row that is ``among`` the others is its own
    neighbour. ``count`` is at most A. In no order; of equal cosines any. Features are read and
    brought to length 1 a block at a time, so they may be memory-mapped; the time is that of R A D
    multiplications.

    **Source:** our choice.
    """
    import torch

    product = times(_of_length_1(features_ND, rows), many=len(among) > len(rows))
    best = torch.empty((len(rows), 0))
    found = torch.empty((len(rows), 0), dtype=torch.int64)
    for start in range(0, len(among), BLOCK):
        block = among[start : start + BLOCK]
        cosines = torch.from_numpy(product(_of_length_1(features_ND, block)))
        best = torch.cat([best, cosines], dim=1)
        found = torch.cat([found, torch.from_numpy(block).expand(len(rows), -1)], dim=1)
        best, places = best.topk(min(count, best.shape[1]), dim=1, sorted=False)
        found = found.gather(1, places)
    nearest_rows: Rows = found.numpy()
    return nearest_rows


def _of_length_1(features_ND: NDArray[np.float32], rows: Rows) -> NDArray[np.float32]:
    part: NDArray[Any] = np.array(features_ND[rows], np.float32)
    part /= np.maximum(np.linalg.norm(part, axis=1, keepdims=True), np.finfo(np.float32).tiny)
    return part
