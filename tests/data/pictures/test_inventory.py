"""The sizes of pictures name the data; a picture that changed since is found when it is read."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from harness.data.pictures import inventory
from harness.data.pictures.digests import digests_file
from harness.data.pictures.inventory import INVENTORIES, look_at, store_of, with_pictures
from harness.data.pictures.loader import Crops, Pictures
from harness.data.pictures.store import MAX_PICTURE_BYTES, FolderStore
from harness.data.webvision import WebVision1, read_split
from harness.data.webvision.check.one_pass import check
from harness.data.webvision.index.build import build_index
from harness.data.webvision.pack.write import Packing, pack
from harness.errors import DataError, HarnessError
from harness.samples import Samples
from harness.spec import DataSpec, RunSpec
from harness.store import reading


@pytest.fixture
def root(tiny_copy: Path) -> Path:
    """A copy of synthweb:tiny that a test may change, by ``put``."""
    return tiny_copy


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


def seen(root: Path, home: Path, split: str = "train", **options: str) -> Samples:
    spec = RunSpec(plugin="any", data=DataSpec(name="webvision1", path=str(root), options=options))
    return with_pictures(WebVision1().load_samples(spec, split), home)


def put(path: Path, content: bytes) -> Path:
    """Write a file that takes the place of a link to one that other tests have too."""
    path.unlink(missing_ok=True)
    path.write_bytes(content)
    return path


def grow(path: Path) -> Path:
    return put(path, path.read_bytes() + b"\0")


def change_a_byte(path: Path) -> Path:
    content = path.read_bytes()
    return put(path, content[:-3] + bytes([content[-3] ^ 1]) + content[-2:])


def picture(samples: Samples, row: int) -> Path:
    return samples.root / str(samples.files[row])


def read(samples: Samples, row: int) -> bytes:
    return store_of(samples).read(row)


@pytest.mark.parametrize("split", ["train", "val", "test"])
def test_a_picture_of_another_size_is_other_data(root: Path, home: Path, split: str) -> None:
    before = seen(root, home, split)
    assert before.fingerprint == seen(root, home, split).fingerprint
    grow(picture(before, 3))
    assert before.fingerprint != seen(root, home, split).fingerprint


def test_a_copy_of_the_same_files_is_the_same_data_whenever_it_was_made(
    root: Path, home: Path, tmp_path: Path
) -> None:
    copy = tmp_path / "elsewhere"
    shutil.copytree(root, copy, copy_function=shutil.copyfile)
    os.utime(picture(seen(copy, home), 0), (1, 1))
    assert seen(copy, home).fingerprint == seen(root, home).fingerprint


def test_a_missing_picture_is_other_data(root: Path, home: Path) -> None:
    before = seen(root, home)
    picture(before, 3).unlink()
    after = seen(root, home)
    assert after.fingerprint != before.fingerprint
    with pytest.raises(FileNotFoundError):
        read(after, 3)


def test_only_the_chosen_pictures_count(root: Path, home: Path) -> None:
    before = seen(root, home, classes="0-1")
    other = next(row for row, label in enumerate(seen(root, home).label) if label > 1)
    grow(picture(seen(root, home), other))
    assert seen(root, home, classes="0-1").fingerprint == before.fingerprint


def test_archives_of_the_same_files_are_the_same_data(
    root: Path, home: Path, tmp_path: Path
) -> None:
    packed = tmp_path / "packed"
    pack(root, packed, Packing(short_side=None))
    for split in ("train", "val", "test"):
        for options in ({}, {"classes": "0-2"}, {"source": "google"}):
            folder, archive = (
                seen(root, home, split, **options),
                seen(packed, home, split, **options),
            )
            assert folder.fingerprint == archive.fingerprint, (split, options)
            assert read(folder, 1) == read(archive, 1)


def test_other_pictures_in_archives_are_other_data(root: Path, home: Path, tmp_path: Path) -> None:
    one, other = tmp_path / "one", tmp_path / "other"
    pack(root, one, Packing(short_side=None))
    grow(picture(seen(root, home), 0))
    pack(root, other, Packing(short_side=None))
    assert seen(one, home).fingerprint != seen(other, home).fingerprint


def test_the_vocabulary_of_an_index_counts(root: Path, home: Path, tmp_path: Path) -> None:
    packed = tmp_path / "packed"
    pack(root, packed, Packing(short_side=None))
    before = seen(packed, home).fingerprint
    changed = (packed / "info" / "synsets.txt").read_text().replace("\n", ", also\n", 1)
    (packed / "info" / "synsets.txt").write_text(changed)
    build_index(packed)
    assert seen(packed, home).fingerprint != before


def test_a_picture_that_changed_since_stops_the_run(root: Path, home: Path) -> None:
    samples = seen(root, home)
    was = len(read(samples, 5))
    path = grow(picture(samples, 5))
    told = rf"picture {path} has changed since .*\({was} bytes then, {was + 1} bytes now\); start"
    with pytest.raises(DataError, match=told):
        read(samples, 5)
    pictures = Pictures(samples, print)
    with pytest.raises(DataError, match="has changed since"):
        pictures.training_batch(np.array([4, 5]), slice(None), Crops(32, 0.3), (0, 0))
    path.unlink()
    with pytest.raises(DataError, match=rf"\({was} bytes then, No such file"):
        read(samples, 5)
    rows = np.array([5, 6])
    assert len(store_of(samples).take(rows)) == 2
    with pytest.raises(DataError, match="has changed since"):
        store_of(samples).take(rows).read(0)
    assert store_of(samples).take(rows).read(1) == read(samples, 6)


def test_a_picture_that_came_since_stops_the_run(root: Path, home: Path) -> None:
    path = picture(seen(root, home), 5)
    content = path.read_bytes()
    path.unlink()
    samples = seen(root, home)
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"\(missing then, "):
        read(samples, 5)


def test_what_cannot_be_looked_at_is_not_taken_for_missing(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = store_of(read_split(root, "train"))
    assert isinstance(store, FolderStore)

    def fail(path: bytes) -> os.stat_result:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(os, "stat", fail)
    monkeypatch.setattr(reading, "WAITS", ())
    with pytest.raises(HarnessError, match="Input/output error"):
        look_at(store)


def test_many_sizes_are_kept_until_a_folder_or_a_looked_at_file_changes(
    root: Path, home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    samples = seen(root, home)
    whole = samples.fingerprint
    first, between = (picture(samples, row) for row in (0, 5))
    for path in (first, between):
        put(path, path.read_bytes())  # no link, so it can be overwritten in place
    monkeypatch.setattr(inventory, "ALWAYS_UP_TO", 10)
    monkeypatch.setattr(inventory, "SPREAD", 2)
    assert seen(root, home).fingerprint == whole
    assert "looking at the sizes of 300 pictures" in capsys.readouterr().err
    assert seen(root, home).fingerprint == whole
    assert capsys.readouterr().err == ""
    # In between, overwritten in place: only reading it tells, and says how to look again.
    path = between
    path.write_bytes(path.read_bytes() + b"\0")
    kept = next((home / INVENTORIES).iterdir())
    assert seen(root, home).fingerprint == whole
    with pytest.raises(DataError, match=rf"{path} has changed .*; remove {kept} and start"):
        read(seen(root, home), 5)
    # A new file under the old name changes its folder.
    path.rename(path.with_suffix(".new"))
    path.with_suffix(".new").rename(path)
    assert seen(root, home).fingerprint != whole
    # One of the spread: the first.
    first.write_bytes(first.read_bytes() + b"\0")
    assert "looking at" in capsys.readouterr().err
    seen(root, home)
    assert "looking at" in capsys.readouterr().err
    # A damaged file of sizes is as good as none.
    kept.write_bytes(kept.read_bytes()[:-200])
    seen(root, home)
    assert "looking at" in capsys.readouterr().err


def digested(root: Path, home: Path, split: str = "train") -> Path:
    report = check(root, images="all", home=home)
    path = digests_file(home, root, split)
    assert any(f"{path} has digests of 300 of 300" in text for _, text in report.findings)
    return path


def test_digests_take_the_place_of_sizes(root: Path, home: Path, tmp_path: Path) -> None:
    by_size = seen(root, home)
    path = digested(root, home)
    by_digest = seen(root, home)
    assert by_digest.fingerprint != by_size.fingerprint
    assert [read(by_digest, row) for row in range(9)] == [read(by_size, row) for row in range(9)]
    copy = Path(shutil.copytree(root, tmp_path / "other", copy_function=shutil.copyfile))
    digested(copy, home)
    assert seen(copy, home).fingerprint == by_digest.fingerprint
    changed = change_a_byte(picture(by_digest, 7))
    with pytest.raises(
        DataError, match=rf"{changed} has changed .*same size now, different content"
    ):
        read(by_digest, 7)
    remedy = rf"run harness data check {root} --images all, or remove {path}"
    with pytest.raises(
        DataError, match=rf"1 of 300 pictures, .*{changed}, have changed .*{remedy}"
    ):
        seen(root, home)
    digested(root, home)
    assert seen(root, home).fingerprint not in (by_size.fingerprint, by_digest.fingerprint)


def test_digests_serve_selections_and_a_damaged_file_of_them_is_named(
    root: Path, home: Path
) -> None:
    path = digested(root, home)
    assert len(read(seen(root, home, source="flickr", classes="1-3"), 4)) > 100
    path.write_bytes(path.read_bytes().replace(b"<u8", b"<i8", 1))
    with pytest.raises(DataError, match=rf"{path}, the digests of {root}, is damaged; run harness"):
        seen(root, home)


def test_the_digests_of_archives_are_those_of_the_same_files(
    root: Path, home: Path, tmp_path: Path
) -> None:
    packed = tmp_path / "packed"
    pack(root, packed, Packing(short_side=None))
    by_size = seen(packed, home)
    digested(root, home)
    digested(packed, home)
    samples = seen(packed, home)
    assert samples.fingerprint == seen(root, home).fingerprint != by_size.fingerprint
    assert read(samples, 3) == read(by_size, 3)
    os.utime(next(packed.glob("train-*.tar")), (1, 1))
    build_index(packed)
    with pytest.raises(DataError, match=r"300 of 300 pictures, .* have changed since"):
        seen(packed, home)


def test_digests_of_some_pictures_are_not_those_of_all(
    root: Path, home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    missing = picture(seen(root, home), 0)
    content = missing.read_bytes()
    missing.unlink()
    path = digested(root, home)  # that it is missing is known, too
    assert seen(root, home).fingerprint == seen(root, home).fingerprint
    missing.write_bytes(content)
    with pytest.raises(DataError, match=r"1 of 300 pictures, .* have changed since"):
        seen(root, home)
    path.unlink()
    google, flickr = (root / "info" / f"train_filelist_{s}.txt" for s in ("google", "flickr"))
    flickr.rename(tmp := flickr.with_suffix(".away"))
    check(root, images="all", home=home)
    tmp.rename(flickr)
    assert google.exists()
    by_size = seen(root, home).fingerprint
    assert "so the sizes identify the data" in capsys.readouterr().err
    digested(root, home)
    assert seen(root, home).fingerprint != by_size
    assert capsys.readouterr().err == ""


# pictures that a split cannot be scored without


@pytest.mark.parametrize("split", ["val", "test"])
@pytest.mark.parametrize("size", [None, 0, MAX_PICTURE_BYTES + 1])
def test_a_split_that_cannot_be_scored_is_refused_at_the_start(
    root: Path, home: Path, split: str, size: int | None
) -> None:
    first, other = (picture(seen(root, home, split), row) for row in (2, 5))
    for path in (first, other):
        path.unlink()
        if size is not None:
            path.touch()
            os.truncate(path, size)
    what = "is missing" if size is None else f"has {size} bytes"
    with pytest.raises(DataError) as refused:
        with_pictures(read_split(root, split), home)
    assert f"{first} {what}, the first of 2 such pictures" in str(refused.value)
    assert ".txt, line 3: " in str(refused.value)


def test_a_run_names_an_empty_val_picture_before_its_first_step(
    root: Path, home: Path, call: Callable[..., Any]
) -> None:
    empty = picture(seen(root, home, "val"), 1)
    put(empty, b"")
    arguments = ("--plugin", "baseline", "--data", f"webvision1:{root}", "--engine", "torch")
    said = call("run", *arguments)
    assert f"{empty} has 0 bytes; val cannot be scored without it" in said.error
    assert not (home / "stages").exists()


def test_an_empty_training_picture_is_left_to_the_loader(root: Path, home: Path) -> None:
    samples = seen(root, home)
    put(picture(samples, 3), b"")
    said: list[str] = []
    pictures = Pictures(seen(root, home), said.append)
    pictures.training_batch(np.array([3]), slice(None), Crops(8, 0.5), (0, 0))
    assert list(pictures.broken) == [3]
