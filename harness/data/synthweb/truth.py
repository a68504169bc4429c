"""What the training pictures really show: for scoring noise handling, and for the oracle's labels.

No plugin is ever given it; who trains on it says so in the name of the edition.
"""

from __future__ import annotations

import csv
import hashlib

import numpy as np
from numpy.typing import NDArray

from harness.errors import DataError
from harness.samples import Samples
from harness.store.reading import is_there
from harness.store.record import digest

TRUTH = "truth/train_truth.csv"


def true_content(samples: Samples) -> NDArray[np.int32] | None:
    """Return the true class of every training entry (-1: none of the vocabulary).

    None where the data set has no truth; raises DataError where the file misses an entry.
    """
    path = samples.root / TRUTH
    if not is_there(path):
        return None
    with path.open(newline="") as file:
        truth = {row["file"]: int(row["truth"]) for row in csv.DictReader(file)}
    try:
        return np.array([truth[file] for file in samples.files.tolist()], np.int32)
    except KeyError as error:
        raise DataError(f"{path} says nothing of {error}; draw the data set again") from error


def with_true_labels(samples: Samples) -> Samples:
    """Return the training samples under their true labels: what an oracle would be trained on.

    Pictures of nothing in the vocabulary are left out (subset -1). The edition and the fingerprint
    say so, so an oracle never shares a table with methods that had to cope with the labels found.
    """
    truth = true_content(samples)
    if truth is None:
        raise DataError(f"{samples.root} has no true labels; only synthweb has")
    known = truth >= 0
    return samples.assign(
        label=np.where(known, truth, samples.label).astype(np.int32),
        subset=np.where(known, samples.subset, -1).astype(np.int8),
        fingerprint=digest(
            [samples.fingerprint, "true labels", hashlib.sha256(truth.data).hexdigest()]
        ),
    )
