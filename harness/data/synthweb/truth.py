"""The true classes of the training pictures, for scoring noise handling and for an oracle.

Methods never see them; the edition's name says if a run trains on them.
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
    """Return the true class of every training entry (-1: none of the classes).

    None if the data set has no truth; raises DataError if the file lacks an entry.
    """
    path = samples.root / TRUTH
    if not is_there(path):
        return None
    with path.open(newline="") as file:
        truth = {row["file"]: int(row["truth"]) for row in csv.DictReader(file)}
    try:
        return np.array([truth[file] for file in samples.files.tolist()], np.int32)
    except KeyError as error:
        raise DataError(f"{path} has no entry for {error}; draw the data set again") from error


def with_true_labels(samples: Samples) -> Samples:
    """Return the training samples with their true labels, for training an oracle.

    Pictures of none of the classes are left out (subset -1). Edition and fingerprint differ, so an
    oracle never shares a table with methods trained on the labels found.
    """
    truth = true_content(samples)
    if truth is None:
        raise DataError(f"{samples.root} has no true labels; use --data synthweb")
    known = truth >= 0
    return samples.assign(
        label=np.where(known, truth, samples.label).astype(np.int32),
        subset=np.where(known, samples.subset, -1).astype(np.int8),
        fingerprint=digest(
            [samples.fingerprint, "true labels", hashlib.sha256(truth.data).hexdigest()]
        ),
    )
