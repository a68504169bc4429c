"""Packing plain folders into archives that any tar reads."""

from __future__ import annotations

import io
import json
import os
import shutil
import signal
import subprocess
import sys
import tarfile
import textwrap
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from harness.data.pictures.decode import decode
from harness.data.pictures.limits import BrokenImageError
from harness.data.webvision.index.open import open_index, verify_index
from harness.data.webvision.pack.pictures import Packing, shrink
from harness.data.webvision.pack.write import PackResult, pack
from harness.errors import DataError

TREE = Path(__file__).parents[2] / "trees" / "webvision1"


def jpeg(width: int, height: int, seed: int = 0) -> bytes:
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "JPEG")
    return file.getvalue()


def names_in(root: Path) -> list[str]:
    lines = (root / "info" / "train_filelist_all.txt").read_text().splitlines()
    names = [line.split()[0] for line in lines]
    for split in ("val", "test"):
        lines = (root / "info" / f"{split}_filelist.txt").read_text().splitlines()
        names += [f"{split}_images_256/{line.split()[0]}" for line in lines]
    return names


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """The hand-written tree with a picture of 60 x 40 pixels for every line of its lists."""
    folder = tmp_path / "webvision"
    shutil.copytree(TREE, folder)
    for number, name in enumerate(names_in(folder)):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(jpeg(60, 40, number))
    return folder


UNTOUCHED = Packing(short_side=None)
# Two pictures or so in an archive.
SMALL = Packing(short_side=None, shard_bytes=tarfile.RECORDSIZE + 10_000)


def archives(output: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(output.glob("*.tar"))}


def refused(*arguments, **options) -> str:
    with pytest.raises(DataError) as raised:
        pack(*arguments, **options)
    assert "\n" not in str(raised.value)
    return str(raised.value)


def test_untouched_pictures_come_back_byte_for_byte(root: Path, tmp_path: Path) -> None:
    output = tmp_path / "packed"
    packed = pack(root, output, SMALL)
    assert packed.pictures == 15
    assert packed.broken == ()
    assert packed.archives > 5
    assert all(split.found == split.rows for split in packed.built.splits.values())
    for split in ("train", "val", "test"):
        opened = open_index(output, split)
        for row in range(len(opened)):
            assert opened.store.read(row) == (root / opened.store.name(row)).read_bytes()
    assert verify_index(output, print, pictures=True) == []


def test_any_tar_reads_them_in_the_order_of_the_lists(root: Path, tmp_path: Path) -> None:
    output = tmp_path / "packed"
    pack(root, output, SMALL)
    found: list[str] = []
    for path in sorted(output.glob("train-*.tar")):
        assert path.stat().st_size <= SMALL.shard_bytes
        with tarfile.open(path) as archive:
            assert all(m.mtime == 0 and m.mode == 0o644 for m in archive)
            found += archive.getnames()
    google_first = sorted(names_in(root)[:9], key=lambda name: name.startswith("flickr"))
    assert found == google_first
    if shutil.which("tar"):
        command = ["tar", "-tf", output / "val-00000.tar"]
        listed = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        assert listed.split()[0] == "val_images_256/val000001.jpg"


def test_lists_and_texts_come_along(root: Path, tmp_path: Path) -> None:
    (root / "truth").mkdir()
    (root / "truth" / "train_truth.csv").write_text("file,truth\n")
    output = tmp_path / "packed"
    packed = pack(root, output, UNTOUCHED)
    for path in [*(root / "info").iterdir(), root / "truth" / "train_truth.csv"]:
        assert (output / path.relative_to(root)).read_bytes() == path.read_bytes()
    assert packed.built.splits["train"].texts
    assert open_index(output, "train").text(0).title == "Tench - Wikipedia"


def test_pictures_are_shrunk_to_the_short_side(root: Path, tmp_path: Path) -> None:
    (root / "val_images_256" / "val000002.jpg").write_bytes(small := jpeg(40, 20))
    output = tmp_path / "packed"
    pack(root, output, Packing(short_side=20), threads=3)
    val = open_index(output, "val")
    assert decode(val.store.read(0)).shape == (20, 30, 3)
    assert val.store.read(1) == small


def test_the_bytes_do_not_depend_on_threads_or_stops(root: Path, tmp_path: Path) -> None:
    packing = Packing(short_side=30, shard_bytes=SMALL.shard_bytes)
    pack(root, tmp_path / "one", packing)
    pack(root, tmp_path / "two", packing, threads=4)
    expected = archives(tmp_path / "one")
    assert archives(tmp_path / "two") == expected
    first, second, *_ = sorted((tmp_path / "two").glob("train-*.tar"))
    second.write_bytes(b"cut")
    before = first.stat().st_mtime_ns
    pack(root, tmp_path / "two", packing)
    assert archives(tmp_path / "two") == expected
    assert first.stat().st_mtime_ns == before


def test_a_picture_with_two_lines_is_packed_once(root: Path, tmp_path: Path) -> None:
    path = root / "info" / "train_filelist_google.txt"
    path.write_text(path.read_text() + path.read_text().splitlines()[0][:-1] + "1\n")
    for file in ("train_meta_list_google.txt",):
        meta = root / "info" / file
        meta.write_text(meta.read_text() + meta.read_text().splitlines()[0] + "\n")
    packed = pack(root, tmp_path / "packed", UNTOUCHED)
    assert packed.pictures == 15
    assert packed.built.splits["train"].rows == 10
    assert packed.built.repeated_entries == 1


def test_a_killed_packing_goes_on(root: Path, tmp_path: Path) -> None:
    program = """
        import sys, time
        from pathlib import Path
        from harness.data.webvision.pack.pictures import Packing
        from harness.data.webvision.pack.write import pack

        def progress(text):
            print(text, flush=True)
            if text.startswith("train-00002.tar: 2"):
                time.sleep(600)

        size = int(sys.argv[3])
        pack(Path(sys.argv[1]), Path(sys.argv[2]), Packing(short_side=None, shard_bytes=size),
             progress=progress)
    """
    output = tmp_path / "packed"
    size = SMALL.shard_bytes
    arguments = [sys.executable, "-c", textwrap.dedent(program), root, output, str(size)]
    process = subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True)
    assert process.stdout
    for line in process.stdout:
        if line.startswith("train-00002.tar: 2"):
            break
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    process.stdout.close()
    finished = sorted(path.name for path in output.glob("train-*.tar"))
    assert finished == ["train-00000.tar", "train-00001.tar"]
    assert list(output.glob(".train-00002.tar.*"))
    before = [(output / name).stat().st_mtime_ns for name in finished]
    packed = pack(root, output, SMALL)
    assert [(output / name).stat().st_mtime_ns for name in finished] == before
    assert not list(output.glob(".train-*"))
    assert packed.pictures == 15
    pack(root, tmp_path / "other", SMALL)
    assert archives(output) == archives(tmp_path / "other")


@pytest.mark.parametrize("packing", [UNTOUCHED, Packing(short_side=20)])
def test_broken_pictures_are_named_and_left_out_when_asked(
    root: Path, tmp_path: Path, packing: Packing
) -> None:
    names = names_in(root)
    (root / names[1]).write_bytes(b"<html>not found</html>")
    (root / names[2]).unlink()
    output = tmp_path / "packed"
    assert refused(root, output, packing).startswith(names[1])
    packed = pack(root, output, packing, skip_broken=True)
    assert isinstance(packed, PackResult)
    assert [problem.split()[0] for problem in packed.broken] == names[1:3]
    assert "No such file" in packed.broken[1]
    assert packed.pictures == 13
    train = packed.built.splits["train"]
    assert (train.rows, train.found, train.first_missing) == (9, 7, tuple(names[1:3]))


def test_a_picture_cut_short_is_broken_if_pictures_are_shrunk() -> None:
    data = jpeg(60, 40)
    with pytest.raises(BrokenImageError):
        shrink(data[: len(data) // 2], 20, 90)


def test_other_formats_become_jpeg() -> None:
    for mode, kind in [("RGBA", "PNG"), ("P", "GIF"), ("CMYK", "JPEG"), ("L", "BMP")]:
        file = io.BytesIO()
        Image.new(mode, (80, 60)).save(file, kind)
        small = shrink(file.getvalue(), 30, 90)
        with Image.open(io.BytesIO(small)) as image:
            assert (image.format, image.mode, image.size) == ("JPEG", "RGB", (40, 30))


def test_folders_that_hold_something_else_are_refused(root: Path, tmp_path: Path) -> None:
    assert "is the data set itself" in refused(root, root, UNTOUCHED)
    other = tmp_path / "other"
    other.mkdir()
    (other / "thesis.tex").write_text("precious")
    assert "is not empty" in refused(root, other, UNTOUCHED)
    output = tmp_path / "packed"
    pack(root, output, UNTOUCHED)
    assert "was started with other packing" in refused(root, output, SMALL)
    path = root / "info" / "val_filelist.txt"
    path.write_text(path.read_text().replace("val000001.jpg 2", "val000001.jpg 1"))
    assert "was started with other lists" in refused(root, output, UNTOUCHED)
    for content in ["", "[]", '{"shards": [{"name": "../x"}]}', '{"shards": []}']:
        (output / "pack.json").write_text(content)
        assert "pack.json cannot be read" in refused(root, output, UNTOUCHED)
    assert "neither info/" in refused(tmp_path / "nowhere", tmp_path / "new", UNTOUCHED)


def test_the_record_of_a_packing_says_what_was_asked(root: Path, tmp_path: Path) -> None:
    pack(root, tmp_path / "packed", UNTOUCHED)
    about = json.loads((tmp_path / "packed" / "pack.json").read_text())
    assert about["packing"] == {"short_side": None, "quality": 90, "shard_bytes": 1 << 30}
    assert [shard["name"] for shard in about["shards"]] == [
        "train-00000.tar",
        "val-00000.tar",
        "test-00000.tar",
    ]
