"""The stored predictions of a finished run for every image of val and test."""

from __future__ import annotations

import io
import math
import zipfile
import zlib
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from harness.errors import HarnessError
from harness.scores import Epoch
from harness.store.finished import predictions
from harness.store.record import ResultRecord
from harness.store.seals import DamagedError

KEPT_CLASSES = 5
MOST_UNPACKED = 2 << 30  # bytes of the predictions of one split; an image takes about 200
MOST_IMAGES = 1 << 24


class StoredPredictions(NamedTuple):
    """N images: ``files`` and ``labels`` ``(N,)``, ``classes`` ``(N, 5)``, best first.

    ``probabilities`` are those of the classes, empty in a file without them.
    """

    files: NDArray[np.str_]
    labels: NDArray[np.int32]
    classes: NDArray[np.int32]
    probabilities: NDArray[np.float16] = np.empty((0, 0), np.float16)

    def correct(self, k: int) -> NDArray[np.bool_]:
        """Return for each image whether its label is among the first ``k`` classes, ``(N,)``."""
        found: NDArray[np.bool_] = (self.classes[:, :k] == self.labels[:, None]).any(axis=1)
        return found


def load_predictions(
    home: Path, record: ResultRecord, split: str, protocol: str, epoch: Epoch = "last"
) -> StoredPredictions:
    """Read the predictions behind one score of a record.

    Raises HarnessError if the score was not measured, its file is missing, or the file's digest
    differs from the record's.
    """
    score = record.score(split, protocol, epoch)
    if score is None:
        raise HarnessError(f"record {record.id} has no score of {split}, {protocol}, {epoch} epoch")
    try:
        return read_predictions(*predictions(home / "records" / record.id, score))
    except DamagedError as error:
        raise HarnessError(
            f"{error}, so it is not what record {record.id} was scored on; run it again: finished "
            "stages are not trained again"
        ) from error


def read_predictions(path: Path, content: bytes) -> StoredPredictions:
    """Read the predictions of one split from the content of a file.

    Raises HarnessError, which names the file, if they are damaged or too large.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as arrays:
            return StoredPredictions(**_read_arrays(path, arrays))
    except (
        *(TypeError, ValueError, OSError, EOFError, zipfile.BadZipFile, zlib.error),
        *(NotImplementedError, RuntimeError),  # zips of a kind that numpy does not write
    ) as error:
        raise HarnessError(
            f"{path} holds no labels of an earlier version, or is damaged ({error}); "
            "remove its record and run it again"
        ) from error


def _read_arrays(path: Path, arrays: zipfile.ZipFile) -> dict[str, NDArray[Any]]:
    """Read the arrays of predictions by name, each file once: np.load would read each header twice.

    Files of others are read, so no more memory is asked for than follows.

    Raises:
        ValueError: A header does not announce as many bytes as follow, or announces objects.
        HarnessError: There are too many bytes or images.
    """
    unpacked = sum(one.file_size for one in arrays.infolist())
    if unpacked > MOST_UNPACKED:
        raise HarnessError(f"{path} would take {unpacked} bytes of memory, over {MOST_UNPACKED}")
    found = {}
    for one in arrays.infolist():
        with arrays.open(one) as file:
            if np.lib.format.read_magic(file) != (1, 0):
                raise ValueError(f"{one.filename} has an unknown version of header")
            size = file.read(2)
            shape, by_column, kind = _header(size + file.read(int.from_bytes(size, "little")))
            content = file.read()
        if kind.hasobject or math.prod(shape) * kind.itemsize != len(content):
            raise ValueError(
                f"{one.filename} does not have the {shape} values that its header announces"
            )
        if shape and shape[0] > MOST_IMAGES:
            raise HarnessError(f"{path} is of {shape[0]} images, more than {MOST_IMAGES}")
        name = one.filename.removesuffix(".npy")
        if name in StoredPredictions._fields:
            order: Literal["F", "C"] = "F" if by_column else "C"
            found[name] = np.ndarray(shape, kind, content, order=order)
    return found


@lru_cache(maxsize=1 << 8)  # equal for all runs on the same pictures, and numpy compiles it
def _header(header: bytes) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    """Return shape, order and kind of a header after its magic: its size in two bytes, its text."""
    return np.lib.format.read_array_header_1_0(io.BytesIO(header))
