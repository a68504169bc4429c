"""Where the curves of a run are, for TensorBoard."""

from __future__ import annotations

from pathlib import Path

from harness.spec import RunSpec
from harness.store.record import digest

LONGEST_NAME = 200  # bytes; the name of a folder may have 255
SHORTENED = 50  # characters, of up to four bytes


def curves_folder(home: Path) -> Path:
    """Return the folder of all runs' curves."""
    return home / "tensorboard"


def curves_of(spec: RunSpec) -> Path:
    """Return the folder of one run's curves, by its label, seed and data."""
    name = f"{spec.label} seed={spec.seed} {spec.data}".replace("/", "_")
    if len(name.encode()) > LONGEST_NAME:
        name = f"{name[:SHORTENED]}... {digest(name)[:12]}"
    return curves_folder(spec.home) / name
