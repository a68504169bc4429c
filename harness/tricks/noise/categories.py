"""The categories of a split: what a trick that looks at one class at a time loops over."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from harness.samples import Samples


def rows_by_class(samples: Samples) -> Iterator[NDArray[np.int64]]:
    """Yield the rows of every class, label as found, in rising order.

    Samples that were left out (subset -1) and classes without samples are passed over.
    """
    kept = np.flatnonzero(samples.subset >= 0)
    by_class = kept[np.argsort(samples.label[kept], kind="stable")]
    starts = np.flatnonzero(np.diff(samples.label[by_class])) + 1
    if len(by_class):
        yield from np.split(by_class, starts)
