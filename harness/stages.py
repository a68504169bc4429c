"""The content-addressed store of stages: what was trained once is never trained again."""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from harness.errors import HarnessError
from harness.files import unwritable, write_text
from harness.record import digest
from harness.terminal import note

PROTOCOL = 3
"""Raised whenever the engine computes something else from the same values: old stages are stale."""


class StageFolder:
    """What is kept of one stage, under its key."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @property
    def marker(self) -> Path:
        """The file that is written last: with it, the stage is done."""
        return self.path / "done.json"

    def done(self) -> dict[str, Any] | None:
        """Return what the marker says, or None where the stage is not finished."""
        try:
            content = json.loads(self.marker.read_text())
        except (OSError, ValueError):
            return None
        return content if isinstance(content, dict) else None

    def finish(self, content: Mapping[str, Any]) -> None:
        """Write the marker. Everything else of the stage must be on disk by then."""
        write_text(self.marker, json.dumps(content, indent=1, sort_keys=True))

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keep other processes from making this stage; the lock dies with its holder.

        Raises HarnessError where the disk is full or the folder cannot be written.
        """
        path = self.path / "lock"
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            lock = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        except OSError as error:
            raise HarnessError(unwritable(path, error)) from error
        try:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                holder = os.pread(lock, 20, 0).decode(errors="replace").strip() or "unknown"
                note(f"waiting for process {holder}, which makes the same stage")
                fcntl.flock(lock, fcntl.LOCK_EX)
            with suppress(OSError):  # who holds it is only told to those who wait
                os.ftruncate(lock, 0)
                os.pwrite(lock, str(os.getpid()).encode(), 0)
            yield
        finally:
            os.close(lock)


def stage_folder(home: Path, key: str) -> StageFolder:
    """Return the folder of the stage with this key."""
    return StageFolder(home / "stages" / key[:32])


def stage_key(decides: Mapping[str, Any], parents: Sequence[str]) -> str:
    """Return the digest of everything that decides a stage's result."""
    return digest({"protocol": PROTOCOL, "parents": list(parents), **decides})
