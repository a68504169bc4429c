"""A run reads pictures out of the archives as it reads them from folders."""

from __future__ import annotations

import shutil
import tarfile
from pathlib import Path

import numpy as np
import pytest

from harness.data.pictures.loader import Crops, Pictures
from harness.data.pictures.names import Names
from harness.data.pictures.strings import Strings
from harness.data.synthweb import generate
from harness.data.webvision import WebVision1
from harness.data.webvision.check.one_pass import check
from harness.data.webvision.index.build import build_index
from harness.errors import DataError
from harness.samples import COLUMNS, Samples
from harness.spec import DataSpec, RunSpec
from harness.values import View

ARCHIVES = {
    "google_resized_256.tar": "google",
    "flickr_resized_256.tar": "flickr",
    "val_images_256.tar": "val_images_256",
    "test_images_256.tar": "test_images_256",
}


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return generate(tmp_path_factory.mktemp("drawn") / "tiny", "tiny", 0)


@pytest.fixture(scope="module")
def archives(folders: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same data set with its pictures in tar archives, and an index."""
    root = tmp_path_factory.mktemp("archived")
    shutil.copytree(folders / "info", root / "info")
    for name, folder in ARCHIVES.items():
        with tarfile.open(root / name, "w") as archive:
            archive.add(folders / folder, folder)
    build_index(root)
    return root


def load(root: Path, split: str, **options: str) -> Samples:
    spec = RunSpec(plugin="any", data=DataSpec(name="webvision1", path=str(root), options=options))
    return WebVision1().load_samples(spec, split)


@pytest.mark.parametrize("split", ["train", "val"])
@pytest.mark.parametrize("options", [{}, {"source": "google"}, {"classes": "1-3"}])
def test_all_columns_and_pictures_are_those_of_the_folders(
    folders: Path, archives: Path, split: str, options: dict[str, str]
) -> None:
    plain, indexed = load(folders, split, **options), load(archives, split, **options)
    for name in COLUMNS:
        assert np.asarray(getattr(indexed, name)).tolist() == getattr(plain, name).tolist(), name
    assert indexed.classes == plain.classes
    assert indexed.source_names == plain.source_names
    assert indexed.edition == plain.edition
    rows = np.arange(0, len(plain), max(1, len(plain) // 12))
    crops = Crops(32, 0.3)
    batches = [
        Pictures(samples, print).training_batch(rows, slice(None), crops, (1, 2))
        for samples in (plain, indexed)
    ]
    np.testing.assert_array_equal(batches[0].pixels, batches[1].pixels)


def test_texts_come_from_the_archives_too(folders: Path, archives: Path) -> None:
    plain, indexed = load(folders, "train"), load(archives, "train")
    assert indexed.texts() == plain.texts()
    assert indexed.searched() == plain.searched()
    assert all(plain.searched())


def test_nothing_is_unpacked(archives: Path) -> None:
    load(archives, "train")
    assert not list(archives.rglob("*.jpg"))


def test_selections_have_fingerprints_of_their_own(archives: Path) -> None:
    found = {
        load(archives, split, **options).fingerprint
        for split in ("train", "val")
        for options in ({}, {"source": "google"}, {"classes": "0-2"})
    }
    assert len(found) == 6


def test_a_missing_archive_stops(folders: Path, tmp_path: Path) -> None:
    shutil.copytree(folders / "info", tmp_path / "info")
    with tarfile.open(tmp_path / "google_resized_256.tar", "w") as archive:
        archive.add(folders / "google", "google")
    build_index(tmp_path)
    with pytest.raises(DataError, match=r"are not in any archive of .*the first is flickr/"):
        load(tmp_path, "train")
    assert len(load(tmp_path, "train", source="google")) > 100


def test_names_are_read_one_by_one_and_selections_share_them() -> None:
    names = Names(Strings.of([b"a", b"bc", "ü".encode()]))
    assert [len(names), names[1], names[2]] == [3, "bc", "ü"]
    assert names[np.array([2, 0])].tolist() == ["ü", "a"]
    assert names[1:][np.array([1])].tolist() == ["ü"]
    assert np.asarray(names).tolist() == ["a", "bc", "ü"]


@pytest.mark.parametrize("packed", [False, True])
def test_a_folder_with_nothing_but_the_index_is_enough(
    archives: Path, tmp_path: Path, *, packed: bool
) -> None:
    """Where the data set's own folder cannot be written; its lists may be in info.tar."""
    whole = tmp_path / "whole"
    shutil.copytree(archives, whole, ignore=shutil.ignore_patterns(".harness-index"))
    if packed:
        with tarfile.open(whole / "info.tar", "w") as archive:
            archive.add(whole / "info", "info")
        shutil.rmtree(whole / "info")
    build_index(whole, output=tmp_path / "scratch" / ".harness-index")
    samples = load(tmp_path / "scratch", "val")
    assert samples.files.tolist() == load(archives, "val").files.tolist()
    assert Pictures(samples, print).test_batch(np.arange(3), (View(short_side=32, size=32),))
    assert not check(tmp_path / "scratch").stops_a_run


def test_info_tar_alone_is_enough(archives: Path, tmp_path: Path) -> None:
    for name in ARCHIVES:
        shutil.copy2(archives / name, tmp_path / name)
    with tarfile.open(tmp_path / "info.tar", "w") as archive:
        archive.add(archives / "info", "info")
    build_index(tmp_path)
    wnids = tmp_path / "wnids.txt"
    wnids.write_text("\n".join(known.wnid for known in load(archives, "val").classes[1:3]))
    for options in ({}, {"classes": "0-2"}, {"wnids": str(wnids)}):
        expected = load(archives, "val", **options)
        assert load(tmp_path, "val", **options).files.tolist() == expected.files.tolist()
    assert load(tmp_path, "train").searched() == load(archives, "train").searched()
