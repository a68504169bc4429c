"""The user's own pictures: ``--data folder:PATH`` and ``--data csv:FILE``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from harness.hookspecs import hookimpl
from harness.values import Stage, Trick

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from harness.data.own_pictures.load import OwnPictures
    from harness.samples import Samples
    from harness.spec import DataSpec, RunSpec


class _Own:
    """What both have in common; an instance looks at the files once for each run."""

    kind: str

    def __init__(self) -> None:
        self._looked: dict[str, OwnPictures] = {}

    @hookimpl
    def load_samples(self, spec: RunSpec, split: str) -> Samples:
        """Return ``split``: "train", "val" or "test"."""
        return self._of(spec).samples(split)

    @hookimpl
    def load_truth(self, spec: RunSpec) -> NDArray[np.int32] | None:
        """Return the clean label of every training picture, if the table has them all."""
        return self._of(spec).truth

    @hookimpl
    def stage_tricks(self, spec: RunSpec) -> Sequence[Trick[Stage]]:
        """Shrink every stage to what suits the pictures, the classes and the device."""
        return [self._of(spec).profile]

    def spelled(self, data: DataSpec) -> DataSpec:
        """Return the data set with the last part of its path only, as its edition has it."""
        return replace(data, path=Path(data.path or "").expanduser().absolute().name or None)

    def _of(self, spec: RunSpec) -> OwnPictures:
        from harness.data.own_pictures.load import load

        key = f"{spec.data}\n{spec.home}"
        if key not in self._looked:
            self._looked[key] = load(self.kind, spec.data, spec.home)
        return self._looked[key]


class Folder(_Own):
    """A folder for each class: ``--data folder:PATH``, with train/, val/ and test/ or without."""

    kind = "folder"


class Csv(_Own):
    """A table of pictures: ``--data csv:FILE``, with columns path, label and more."""

    kind = "csv"
