"""The outputs and the samples of a stage, saved for later stages and later runs."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from itertools import chain
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from harness.changed_columns import changed_columns, with_changed_columns
from harness.errors import HarnessError, PluginError
from harness.samples import Predictions, Samples, StageOutputs
from harness.store.files import atomic_write, sync_folder, unwritable
from harness.store.seals import write_marker
from harness.store.stages import OUTPUTS, PARTS, SAMPLES
from harness.testing.metrics import top_classes
from harness.testing.predict import FeatureBatch
from harness.training.ranks import Ranks

SAVED_CLASSES = 5


def save_outputs(
    folder: Path,
    batches: Iterator[FeatureBatch],
    samples: Samples,
    ranks: Ranks,
    about: Mapping[str, Any] | None = None,
) -> None:
    """Write the features and predictions of every training sample, then the marker.

    ``about`` goes into the marker and identifies the weights. Every rank writes its own rows of one
    file, so no process holds all features. Raises HarnessError before the first row is written if
    the disk is too full.

    The rows are not written through a memory map: two machines that share a disk would write back
    whole pages, and with them the other's rows as they were before.
    """
    path = folder / ".features.npy"  # removed with the stage's other unfinished files
    first = next(batches, None)  # a rank may have none; rank 0 has one
    width = ranks.broadcast(first.features.shape[1] if first else 0)
    ranks.decided(lambda: _allocate(path, (len(samples), cast("int", width))))
    predictions: list[Predictions] = []
    for rows, part, probabilities in chain([first] if first else [], batches):
        _write_rows(path, int(rows[0]), part)
        if probabilities.shape[1] != samples.num_classes:
            raise PluginError(
                f"a stage that predicts {probabilities.shape[1]} keywords cannot be seen; "
                "name one that predicts the data set's classes in sees="
            )
        top = top_classes(probabilities, SAVED_CLASSES)
        of_label = probabilities[np.arange(len(rows)), samples.label[rows]]
        predictions.append(Predictions(top.classes, top.probabilities, of_label))
    _write_through(path)
    ranks.barrier()
    joined = Predictions(*map(np.concatenate, zip(*_of_all(predictions, ranks), strict=True)))

    def finish() -> None:
        path.replace(folder / "features.npy")
        sync_folder(folder)
        columns = joined._asdict()
        atomic_write(folder / "predictions.npz", lambda file: np.savez(file, **columns))
        write_marker(folder / OUTPUTS, {**(about or {}), "samples": len(samples)}, PARTS[OUTPUTS])

    ranks.decided(finish)


def _allocate(path: Path, shape: tuple[int, int]) -> None:
    """Create a file for ``(N, D)`` values and reserve its space on the disk."""
    try:
        np.lib.format.open_memmap(path, mode="w+", dtype=np.float32, shape=shape).flush()
        with path.open("r+b") as file:
            os.posix_fallocate(file.fileno(), 0, path.stat().st_size)
    except OSError as error:
        path.unlink(missing_ok=True)
        raise HarnessError(unwritable(path, error)) from error


def _write_rows(path: Path, first: int, part: NDArray[np.float32]) -> None:
    """Write the values ``(B, D)`` of rows that follow one another into an array file."""
    try:
        with path.open("r+b") as file:
            np.lib.format.read_magic(file)
            np.lib.format.read_array_header_1_0(file)
            file.seek(first * part.shape[1] * part.itemsize, os.SEEK_CUR)
            file.write(np.ascontiguousarray(part, np.float32).tobytes())
    except OSError as error:
        raise HarnessError(unwritable(path, error)) from error


def _write_through(path: Path) -> None:
    """Wait until a file is on the disk, where only now it may turn out to be full (NFS)."""
    try:
        with path.open("r+b") as file:
            os.fsync(file.fileno())
    except OSError as error:
        raise HarnessError(unwritable(path, error)) from error


def _of_all(own: list[Predictions], ranks: Ranks) -> list[Predictions]:
    parts = cast("list[list[Predictions]]", ranks.gather(own))
    return [prediction for part in parts for prediction in part]


def load_outputs(folder: Path) -> StageOutputs | None:
    """Return the saved outputs, features memory-mapped, or None if there are none.

    Nothing is checked here: call it after ``StageFolder.whole(OUTPUTS)``.
    """
    if not (folder / OUTPUTS).exists():
        return None
    with np.load(folder / "predictions.npz") as arrays:
        predictions = Predictions(**{name: arrays[name] for name in Predictions._fields})
    features = np.load(folder / "features.npy", mmap_mode="r")
    return StageOutputs(features=features, predictions=predictions)


def save_samples(path: Path, samples: Samples) -> None:
    """Write the columns that noise tricks may change, and their marker."""
    columns: dict[str, Any] = changed_columns(samples)
    atomic_write(path, lambda file: np.savez(file, **columns))
    write_marker(path.with_name(SAMPLES), {}, PARTS[SAMPLES])


def load_samples(path: Path, before: Samples) -> Samples:
    """Return ``before`` with the columns that ``save_samples`` wrote."""
    with np.load(path) as arrays:
        return with_changed_columns(before, dict(arrays))
