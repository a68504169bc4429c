"""The record of a finished run, which is used if it has not been altered."""

from __future__ import annotations

import hashlib
from pathlib import Path

from harness.errors import HarnessError
from harness.store.origins import origin_of
from harness.store.reading import is_there, look_for, read_plain
from harness.store.record import ResultRecord, Score
from harness.store.record_files import read_record
from harness.store.seals import DamagedError, set_aside
from harness.terminal import note, visible

MOST = 16 << 30  # bytes of the predictions of one split; an image takes about 25


def finished_record(path: Path) -> ResultRecord | None:
    """Return the record at ``path`` with its predictions whole, or None if there is none.

    An altered record is reported on standard error and moved away with its predictions, so the run
    is scored again; finished stages are not trained again. So is a record that was submitted by
    others, because only a run in this home shows whether it is true.
    """
    if not is_there(path):
        return None
    origin = origin_of(path)
    if origin is not None:  # a run that was not made here is not reused
        folder = set_aside(path.parent.parent, path.stem, _files(path), under="replaced")
        if folder is not None:
            note(
                f"{path.stem} came from {origin.source}; it was moved to {folder}, and "
                "the method is run here"
            )
        return None
    try:
        record = read_record(path)
        _check_predictions(path.with_suffix(""), record)
    except DamagedError as error:
        home = path.parent.parent
        folder = set_aside(home, path.stem, _files(path))
        if folder is not None:
            note(f"{error}; it was moved to {folder} and is made again")
        return None
    return record


def _files(path: Path) -> tuple[Path, Path]:
    return path, path.with_suffix("")


def _check_predictions(folder: Path, record: ResultRecord) -> None:
    for score in record.scores:
        try:
            predictions_file(folder, score)
        except HarnessError as error:
            raise DamagedError(f"{folder}.json was scored on other predictions: {error}") from error


def predictions_file(folder: Path, score: Score) -> Path:
    """Return the file of a score's predictions; raises DamagedError as ``predictions``."""
    return predictions(folder, score)[0]


def predictions(folder: Path, score: Score) -> tuple[Path, bytes]:
    """Return the file of a score's predictions, and what was read of it.

    Raises DamagedError if it is missing or its digest is not the score's, or if split or protocol
    is not a name that a file may have: others' records are read too.
    """
    for name in (score.split, score.protocol):
        if not name or any(sign in name for sign in "/\\\0") or name.startswith("."):
            raise DamagedError(f"{visible(repr(name), 80)} is not the name of a split or protocol")
    # If both epochs have the same weights, their predictions are saved once.
    stem = f"{score.split}-{score.protocol.replace(' ', '-')}"
    if "\0" in stem:
        raise DamagedError(
            f"{folder}.json names predictions by {stem!r}, which cannot be a file name"
        )
    paths = [
        folder / f"{stem}-{epoch}.npz" for epoch in dict.fromkeys((score.epoch, "last", "best"))
    ]
    for path in paths:
        if look_for(path):
            content = read_plain(path, MOST)
            if hashlib.sha256(content).hexdigest() == score.predictions_sha256:
                return path, content
    raise DamagedError(f"{paths[0]} is missing or altered")
