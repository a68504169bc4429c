"""Small real pictures, and folders of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from harness.data.own_pictures.load import OwnPictures, load
from harness.spec import DataSpec

Save = Callable[..., Path]
Read = Callable[..., OwnPictures]


def drawn(number: int, size: tuple[int, int] = (48, 40)) -> Image.Image:
    """A picture of coarse noise; another number gives another one."""
    random = np.random.default_rng(number)
    blocks = random.integers(0, 256, (5, 6, 3), np.uint8)
    return Image.fromarray(blocks).resize(size, Image.Resampling.NEAREST)


@pytest.fixture
def save() -> Save:
    """Save drawn pictures ``first`` and following as the files named."""

    def save_all(root: Path, files: Sequence[str], first: int = 0) -> Path:
        for number, file in enumerate(files, first):
            path = root / file
            path.parent.mkdir(parents=True, exist_ok=True)
            drawn(number).save(path)
        return root

    return save_all


@pytest.fixture
def two_classes(tmp_path: Path, save: Save) -> Path:
    """A folder with twenty pictures each of "bird" and "cat"."""
    files = [f"{name}/{number:02}.png" for name in ("bird", "cat") for number in range(20)]
    return save(tmp_path / "pets", files)


@pytest.fixture
def read(harness_home: Path) -> Read:
    """Load a folder, or a table if the path is a file."""

    def read_own(path: Path, **options: str) -> OwnPictures:
        kind = "csv" if path.is_file() else "folder"
        return load(kind, DataSpec(name=kind, path=str(path), options=options), harness_home)

    return read_own
