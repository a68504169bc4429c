"""The folds of cross-fitting: who is scored by the network that was not trained on it."""

from __future__ import annotations

import hashlib

import numpy as np
from numpy.typing import NDArray

from harness.samples import Samples

Folds = NDArray[np.int16]


def fold_of(samples: Samples, folds: int, seed: int) -> Folds:
    """Return the fold of every sample ``(N,)``, from 0 to ``folds`` - 1.

    It follows from the seed and the picture's name alone, so that a picture that is listed twice is
    never both trained on and scored, and the order of the samples does not matter. Folds, also
    those of one class, are of equal size on average only.

    **Source:** our choice.
    """
    key = seed.to_bytes(8, "big")
    found = np.empty(len(samples), np.int16)
    for row, name in enumerate(samples.files.tolist()):
        said = str(name).encode("utf-8", "surrogateescape")
        digest = hashlib.blake2b(said, digest_size=8, key=key).digest()
        found[row] = int.from_bytes(digest, "big") % folds
    return found
