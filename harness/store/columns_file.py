"""Numpy columns in one file with a digest, so a damaged file is never used."""

from __future__ import annotations

import hashlib
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness.store.files import atomic_write

_DIGEST = "sha256"


def save_columns(path: Path, columns: Mapping[str, NDArray[Any]]) -> None:
    """Write the columns, whole or not at all."""
    everything: dict[str, Any] = {**columns, _DIGEST: _digest(columns)}
    atomic_write(path, lambda file: np.savez(file, **everything))


def load_columns(path: Path) -> dict[str, NDArray[Any]] | None:
    """Return the columns of a file, or None if it is missing or damaged."""
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as kept:
            columns: dict[str, NDArray[Any]] = {name: kept[name] for name in kept.files}
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        return None
    written = columns.pop(_DIGEST, None)
    return columns if written is not None and np.array_equal(written, _digest(columns)) else None


def _digest(columns: Mapping[str, NDArray[Any]]) -> NDArray[np.uint8]:
    digest = hashlib.sha256()
    for name, column in sorted(columns.items()):
        digest.update(f"{name} {column.dtype.str} {column.shape}\n".encode())
        digest.update(np.ascontiguousarray(column).data)
    return np.frombuffer(digest.digest(), np.uint8)
