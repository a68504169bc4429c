"""What a finished run said of every picture of val and test, as kept beside its record."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from harness.errors import HarnessError
from harness.finished import predictions_file
from harness.record import ResultRecord
from harness.seals import DamagedError

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
    try:
        return _read(predictions_file(home / "records" / record.id, score))
    except DamagedError as error:
        raise HarnessError(
            f"{error}, so it is not what record {record.id} was scored on; run it again: finished "
            "stages are not trained again"
        ) from error


def _read(path: Path) -> KeptPredictions:
    try:
        with np.load(io.BytesIO(path.read_bytes()), allow_pickle=False) as arrays:
            return KeptPredictions(arrays["files"], arrays["labels"], arrays["classes"])
    except (KeyError, ValueError, OSError, zipfile.BadZipFile) as error:
        raise HarnessError(
            f"{path} holds no labels of an earlier version, or is damaged ({error}); "
            "remove its record and run it again"
        ) from error
