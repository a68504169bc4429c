"""The content-addressed store of stages: what was trained once is never trained again."""

from __future__ import annotations

import dataclasses
import fcntl
import hashlib
import inspect
import json
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

from harness.errors import PluginError
from harness.files import write_text
from harness.record import digest

PROTOCOL = 1
"""Raised whenever the engine computes something else from the same values: old stages are stale."""


def describe(value: object) -> Any:
    """Return a JSON-able description of a value; raises PluginError where it has no fixed one.

    Dataclasses are described by their type and fields, so that two tricks are the same exactly
    where their knobs are.
    """
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, (tuple, list)):
        return [describe(item) for item in value]
    if isinstance(value, Mapping):
        return {str(key): describe(item) for key, item in value.items()}
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = {f.name: describe(getattr(value, f.name)) for f in dataclasses.fields(value)}
        return {"type": f"{type(value).__module__}.{type(value).__qualname__}", **fields}
    raise PluginError(
        f"{value!r:.80} has no fixed description, so its result cannot be kept; "
        "make it a frozen dataclass of plain values"
    )


def describe_trick(trick: object) -> Any:
    """Describe a trick by its values and the digest of its source file."""
    return {"trick": describe(trick), "source": file_sha256(_source_file(type(trick)))}


def _source_file(kind: type) -> str:
    try:
        return inspect.getfile(kind)
    except (TypeError, OSError) as error:
        raise PluginError(f"{kind.__qualname__} must be defined in a file: {error}") from error


@cache
def file_sha256(path: str) -> str:
    """Return the sha256 of a source file, read once per process."""
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()


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
        """Keep other processes from making this stage; the lock dies with its holder."""
        self.path.mkdir(parents=True, exist_ok=True)
        with (self.path / "lock").open("a+") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                file.seek(0)
                holder = file.read().strip() or "unknown"
                sys.stderr.write(f"waiting for process {holder}, which makes the same stage\n")
                fcntl.flock(file, fcntl.LOCK_EX)
            file.truncate(0)
            file.write(str(os.getpid()))
            file.flush()
            yield


def stage_folder(home: Path, key: str) -> StageFolder:
    """Return the folder of the stage with this key."""
    return StageFolder(home / "stages" / key[:32])


def stage_key(decides: Mapping[str, Any], parents: Sequence[str]) -> str:
    """Return the digest of everything that decides a stage's result."""
    return digest({"protocol": PROTOCOL, "parents": list(parents), **decides})
