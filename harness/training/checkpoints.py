"""Checkpoints of an unfinished stage: written whole; the newest undamaged one is used."""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch

from harness.errors import TrainingError
from harness.store.files import atomic_write, sync_folder
from harness.store.seals import DamagedError, check_marker, read_marker, write_marker

KEPT = 2


def save_checkpoint(folder: Path, step: int, state: dict[str, Any]) -> None:
    """Write the state after ``step`` steps, then its digest, then drop what is older.

    The digest also covers the weights of the best epoch so far: a run that continues from here has
    exactly that best epoch.
    """
    path = folder / f"checkpoint-{step:010d}.pt"
    save_tensors(path, state)
    position = state["position"]
    best = [best_weights(folder, position["best_epoch"]).name] if position["best_epoch"] else []
    says = {"step": step, "ranks": position["ranks"], "best": best}
    write_marker(path.with_suffix(".json"), says, [path.name, *best])
    markers = sorted(folder.glob("checkpoint-*.json"))
    for old in markers[:-KEPT]:
        old.unlink(missing_ok=True)  # on a disk without locks another run may be here
        old.with_suffix(".pt").unlink(missing_ok=True)
    needed = set(best).union(*map(_best_named, markers[-KEPT:]))
    for weights in folder.glob("best-*.pt"):
        if weights.name not in needed:
            weights.unlink(missing_ok=True)


def best_weights(folder: Path, epoch: int) -> Path:
    """Return the file of the weights of an epoch that was the best so far."""
    return folder / f"best-{epoch:06d}.pt"


def save_best(folder: Path, epoch: int, state: dict[str, Any]) -> None:
    """Write the weights of the best epoch so far, also as ``best.pt`` for users."""
    save_tensors(best_weights(folder, epoch), state)
    show_best(folder, epoch)


def show_best(folder: Path, epoch: int) -> None:
    """Make ``best.pt`` the weights of ``epoch``, without a copy if the disk has hard links."""
    source, path = best_weights(folder, epoch), folder / "best.pt"
    link = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    try:
        os.link(source, link)
    except OSError:  # exFAT and some network disks have no hard links
        atomic_write(path, lambda file: file.write(source.read_bytes()))
        return
    link.replace(path)
    link.unlink(missing_ok=True)  # rename does nothing if both are links to one file
    sync_folder(folder)


def _best_named(marker: Path) -> list[str]:
    try:
        return list((read_marker(marker) or {}).get("best", ()))
    except DamagedError:
        return []


def newest_checkpoint(folder: Path, tell: Callable[[str], object]) -> Path | None:
    """Return the file of the newest checkpoint whose digest is right, or None.

    ``tell`` is called with a line about each damaged one.
    """
    for marker in sorted(folder.glob("checkpoint-*.json"), reverse=True):
        try:
            check_marker(marker)
        except DamagedError as error:
            tell(f"{error}; an earlier checkpoint is used, if there is one")
            continue
        return marker.with_suffix(".pt")
    return None


def load_checkpoint(path: Path, device: torch.device) -> dict[str, Any]:
    """Return the state in a file that ``newest_checkpoint`` found."""
    state: dict[str, Any] = torch.load(path, map_location=device, weights_only=True)
    return state


def drop_checkpoints(folder: Path) -> None:
    """Remove what a finished stage no longer needs."""
    for pattern in ("checkpoint-*.json", "checkpoint-*.pt", "best-*.pt"):
        for path in folder.glob(pattern):
            path.unlink(missing_ok=True)


def drop_unfinished(folder: Path) -> None:
    """Remove unfinished files of a killed run; only for the holder of the stage's lock."""
    for path in folder.glob(".*"):
        with suppress(OSError):
            path.unlink()


def save_tensors(path: Path, state: dict[str, Any]) -> None:
    """Write tensors and plain values, whole or not at all."""
    atomic_write(path, lambda file: torch.save(state, file))


def load_tensors(path: Path, device: torch.device | str = "cpu") -> dict[str, Any]:
    """Read tensors and plain values; anything else is refused, not unpickled.

    Raises TrainingError if the file is missing or damaged.
    """
    try:
        state: dict[str, Any] = torch.load(path, map_location=device, weights_only=True)
    except Exception as error:  # a damaged file fails in more ways than torch names
        raise TrainingError(
            f"{path} is missing or was damaged during this run; start the same command again: "
            "damaged files are made again"
        ) from error
    return state
