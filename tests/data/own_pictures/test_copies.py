"""Large photographs are read from small copies, which may be lost or damaged."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from harness.data.own_pictures.copies import FOLDER, LARGE, SHORT_SIDE
from harness.data.pictures.decode import decode


@pytest.fixture
def photographs(tmp_path: Path, save) -> Path:
    """Two classes of small pictures, and one photograph on its side in each."""
    root = save(tmp_path / "own", [f"{name}/{n}.png" for name in "ab" for n in range(4)])
    columns, rows = np.meshgrid(np.linspace(0, 255, 1_300), np.linspace(0, 255, 1_000))
    exif = Image.Exif()
    exif[0x0112] = 6
    for number, name in enumerate("ab"):
        shade = np.full_like(rows, 100 + 50 * number)
        pixels = np.stack([rows, columns, shade], axis=-1).astype(np.uint8)
        Image.fromarray(pixels).save(root / name / "photo.jpg", exif=exif, quality=95)
    return root


def photos(own) -> dict[str, np.ndarray]:
    """What is decoded of the photographs, by file."""
    found = {}
    for split in ("train", "val", "test"):
        samples = own.samples(split)
        for row, file in enumerate(samples.files.tolist()):
            if file.endswith("photo.jpg"):
                found[file] = decode(samples.store.read(row))
    return found


def test_a_large_picture_is_read_upright_from_a_small_copy(photographs, read, harness_home):
    found = photos(read(photographs))
    assert len(found) == len(list((harness_home / FOLDER).rglob("*.jpg"))) == 2
    for pixels in found.values():
        assert pixels.shape == (round(1_300 * SHORT_SIDE / 1_000), SHORT_SIDE, 3)
        # On its side, rows ran from dark to light in red: now columns do, from the right.
        assert pixels[:, 0, 0].min() > 240
        assert pixels[:, -1, 0].max() < 15
        assert pixels[0, :, 1].max() < 15


def test_a_copy_that_is_lost_or_damaged_is_made_again(photographs, read, harness_home):
    before = photos(read(photographs))
    lost, damaged = sorted((harness_home / FOLDER).rglob("*.jpg"))
    content = damaged.read_bytes()
    lost.unlink()
    damaged.write_bytes(content[:200] + bytes([content[200] ^ 1]) + content[201:])
    after = photos(read(photographs))
    assert damaged.read_bytes() == content
    assert lost.exists()
    assert all(np.array_equal(before[file], after[file]) for file in before)


def test_small_pictures_have_no_copies(two_classes, read, harness_home):
    read(two_classes)
    assert not (harness_home / FOLDER).exists()


def test_the_profile_counts_the_pixels_of_the_copies(tmp_path, save, read):
    root = save(tmp_path / "own", [f"{name}/{n}.png" for name in "ab" for n in range(4)])
    sizes = {}
    for side in (LARGE, LARGE + 1, 2 * LARGE):
        for path in root.rglob("*.png"):
            shade = int(path.stem) * 20 + 100 * (path.parent.name == "a")
            Image.new("L", (side, side), shade).save(path)
        sizes[side] = read(root).profile
    assert sizes[LARGE + 1] == sizes[2 * LARGE]


def test_a_photograph_that_changes_in_a_run_is_still_the_one_it_began_with(photographs, read):
    own = read(photographs)
    before = photos(own)
    for path in photographs.rglob("photo.jpg"):
        path.write_bytes(b"another")
    assert all(np.array_equal(pixels, before[file]) for file, pixels in photos(own).items())
