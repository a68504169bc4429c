"""A data set of your own format: lists of pictures and class names, one for each split."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from harness import (
    DataError,
    NoLabelsError,
    Profile,
    RunSpec,
    Samples,
    Stage,
    Trick,
    WebClass,
    hookimpl,
)


@dataclass(frozen=True, kw_only=True)
class Starter:
    """ROOT/train.txt, val.txt and test.txt with lines "pictures/1.jpg tabby cat"."""

    @hookimpl
    def load_samples(self, spec: RunSpec, split: str) -> Samples:
        """Return the samples that ROOT/SPLIT.txt lists; classes are those of train."""
        if not spec.data.path:
            raise DataError("--data starter needs a folder: --data starter:/data/pictures")
        root = Path(spec.data.path).expanduser()
        names = sorted({name for _, name in _listed(root, "train")})
        if split != "train" and not (root / f"{split}.txt").exists():
            raise NoLabelsError(f"{root} has no {split}.txt, so {split} is not tested")
        listed = _listed(root, split)
        strange = [name for _, name in listed if name not in names]
        if strange:
            raise DataError(f"{root / split}.txt: {strange[0]!r} is not a class of train.txt")
        count = len(listed)
        nothing = np.full(count, -1, np.int32)
        return Samples(
            split=split,
            root=root,
            files=np.array([file for file, _ in listed]),
            label=np.array([names.index(name) for _, name in listed], np.int32),
            source=np.zeros(count, np.int8),
            query=nothing,
            rank=nothing,
            weight=np.ones(count, np.float32),
            subset=np.zeros(count, np.int8),
            classes=tuple(WebClass(wnid="", lemmas=name) for name in names),
            source_names=("list",),
            # The sizes of the pictures are added by the harness.
            fingerprint=hashlib.sha256(repr((names, listed)).encode()).hexdigest(),
            edition=f"starter {root.name}",
        )

    @hookimpl
    def stage_tricks(self) -> Sequence[Trick[Stage]]:
        """Shrink every method to a minute on a CPU; leave this out to train at full size."""
        small = Profile(
            backbone="test_resnet", input_size=32, epochs_share=1 / 25, batch_size=8, lr=0.01
        )
        return [small]


def _listed(root: Path, split: str) -> list[tuple[str, str]]:
    """Return file and class of each line; raises DataError naming the line that is wrong."""
    path = root / f"{split}.txt"
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path} cannot be read: {error}") from error
    found = []
    for number, line in enumerate(lines, 1):
        file, _, name = line.strip().partition(" ")
        if not name.strip():
            raise DataError(f"{path}, line {number}: write a file, a blank and a class")
        found.append((file, name.strip()))
    return found
