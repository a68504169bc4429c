"""The content-addressed store of stages: a finished stage is never trained again."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from harness.store.lock import exclusive_lock
from harness.store.record import digest
from harness.store.seals import DamagedError, check_marker, read_marker, set_aside, write_marker
from harness.terminal import note

PROTOCOL = 3
"""Raised when the engine computes other results from equal values; older stages are stale."""

DONE, OUTPUTS, SAMPLES = "done.json", "outputs.json", "samples.json"
FINISHING = "finishing"  # there while the weights are written, until the marker is
PARTS = {DONE: (), OUTPUTS: ("features.npy", "predictions.npz"), SAMPLES: ("samples.npz",)}
"""The files of each part of a stage, without its marker; the marker of the weights names them."""


class StageFolder:
    """The files of one stage, under its key."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @property
    def marker(self) -> Path:
        """The file that is written last, when the stage is finished."""
        return self.path / DONE

    def done(self) -> dict[str, Any] | None:
        """Return the marker's content, or None if the stage is not finished.

        Its files are not checked: call ``whole`` before they are used.
        """
        try:
            return read_marker(self.marker)
        except DamagedError:
            return None

    def finish(self, content: Mapping[str, Any], files: Iterable[str] = ()) -> dict[str, Any]:
        """Write the marker with the seals of ``files``, which must be on disk."""
        return write_marker(self.marker, content, files)

    def whole(self, part: str = DONE) -> dict[str, Any] | None:
        """Return the content of a part's marker, or None if the part is missing or damaged.

        A damaged part is reported on standard error and set aside; with the weights, everything
        computed from them. Only for the holder of the lock.
        """
        try:
            content = check_marker(self.path / part)
            if content is None and part == DONE and self._lost_its_marker():
                raise DamagedError(f"{self.marker} is missing")
        except DamagedError as error:
            self.set_aside(str(error), part)
            return None
        return content

    def _lost_its_marker(self) -> bool:
        # What a run that was killed between the weights and the marker leaves beside them.
        going_on = (self.path / FINISHING).exists() or any(self.path.glob("checkpoint-*.json"))
        return (self.path / "weights.pt").exists() and not going_on

    def set_aside(self, why: str, part: str = DONE) -> None:
        """Move a part into HOME/damaged and report it; the whole stage if it is the weights."""
        names = [part, *PARTS[part]]
        paths = [self.path / name for name in names]
        if part == DONE:
            rest = (path for path in sorted(self.path.iterdir()) if path.name not in {DONE, "lock"})
            paths = [self.marker, *rest]  # the marker first: without it a stage is unfinished
        folder = set_aside(self.path.parent.parent, self.path.name, paths)
        note(f"{why}; moved to {folder} and made again")

    def ranks(self, now: int) -> list[int]:
        """Return how many ranks trained the stage, one entry for each change of their number.

        If it is not finished, ``now`` ranks will train it or resume it.
        """
        marker = self.done()
        if marker is not None:
            return _whole_numbers(marker.get("ranks")) or [now]
        newest = max(self.path.glob("checkpoint-*.json"), default=None)
        before: list[int] = []
        if newest is not None:
            with suppress(OSError, DamagedError):
                before = _whole_numbers((read_marker(newest) or {}).get("ranks"))
        return before if before[-1:] == [now] else [*before, now]

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the stage's lock; wait if another process holds it.

        Raises HarnessError if the disk is full or the folder cannot be written.
        """
        with exclusive_lock(self.path / "lock", "makes the same stage"):
            yield


def _whole_numbers(value: object) -> list[int]:
    """Return a list of ints that was read from a file; an empty one if it is something else."""
    whole = isinstance(value, list) and all(type(item) is int for item in value)
    return list(value) if isinstance(value, list) and whole else []


def stage_folder(home: Path, key: str) -> StageFolder:
    """Return the folder of the stage with this key."""
    return StageFolder(home / "stages" / key[:32])


def weights_file(name: str, number: int) -> str:
    """Return the name of a file of weights of a stage's network, counted from 0.

    >>> weights_file("weights", 0), weights_file("weights", 1)
    ('weights.pt', 'weights-1.pt')
    """
    return f"{name}-{number}.pt" if number else f"{name}.pt"


def stage_key(decides: Mapping[str, Any], parents: Sequence[str]) -> str:
    """Return the digest of everything that decides a stage's result."""
    return digest({"protocol": PROTOCOL, "parents": list(parents), **decides})
