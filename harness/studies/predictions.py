"""What a finished run said of every picture of val and test, as kept beside its record."""

from __future__ import annotations

import hashlib
import io
import zipfile
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from harness.errors import HarnessError
from harness.record import ResultRecord, Score

Epoch = Literal["last", "best"]


class KeptPredictions(NamedTuple):
    """N pictures: ``files`` and ``labels`` ``(N,)``, ``classes`` ``(N, 5)``, best first."""

    files: NDArray[np.str_]
    labels: NDArray[np.int32]
    classes: NDArray[np.int32]

    def right(self, k: int) -> NDArray[np.bool_]:
        """Return for each picture whether its label is among the first ``k`` classes, ``(N,)``."""
        found: NDArray[np.bool_] = (self.classes[:, :k] == self.labels[:, None]).any(axis=1)
        return found


def kept_predictions(
    home: Path, record: ResultRecord, split: str, protocol: str, epoch: Epoch = "last"
) -> KeptPredictions:
    """Read the predictions behind one score of a record.

    Raises HarnessError where the score was not measured, its file is missing, or its bytes are not
    those whose digest the record holds.
    """
    score = record.score(split, protocol, epoch)
    if score is None:
        raise HarnessError(f"record {record.id} has no score of {split}, {protocol}, {epoch} epoch")
    # Where both epochs are the same weights, their predictions are kept once.
    names = [f"{split}-{protocol.replace(' ', '-')}-{name}.npz" for name in (epoch, "last", "best")]
    paths = [home / "records" / record.id / name for name in dict.fromkeys(names)]
    for path in paths:
        if path.exists() and _is_of(path, score):
            return _read(path)
    raise HarnessError(
        f"{paths[0]} is missing or not what record {record.id} was scored on; "
        "remove the record and run it again: finished stages are not trained again"
    )


def _is_of(path: Path, score: Score) -> bool:
    return hashlib.sha256(path.read_bytes()).hexdigest() == score.predictions_sha256


def _read(path: Path) -> KeptPredictions:
    try:
        with np.load(io.BytesIO(path.read_bytes()), allow_pickle=False) as arrays:
            return KeptPredictions(arrays["files"], arrays["labels"], arrays["classes"])
    except (KeyError, ValueError, OSError, zipfile.BadZipFile) as error:
        raise HarnessError(
            f"{path} holds no labels of an earlier version, or is damaged ({error}); "
            "remove its record and run it again"
        ) from error
