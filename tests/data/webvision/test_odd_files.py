"""Pipes, sockets and devices in the place of lists, metadata and pictures are refused at once."""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from harness.data.pictures.loader import Crops, Pictures
from harness.data.webvision import read_split
from harness.data.webvision.check.one_pass import check
from harness.data.webvision.index import open as index_module
from harness.data.webvision.lists.editions import WEBVISION1, WEBVISION2, detect_edition
from harness.data.webvision.lists.texts import read_json
from harness.errors import DataError, HarnessError
from harness.store import reading

Put = Callable[[Path], None]
LISTS = ("train_filelist_google.txt", "synsets.txt", "val_filelist.txt")


def pipe(path: Path) -> None:
    os.mkfifo(path)


def zeros(path: Path) -> None:
    path.symlink_to("/dev/zero")  # says it has no bytes, and has bytes for ever


def sockets(path: Path) -> None:
    # A socket's name is short, that of a test's folder is not; a rename stays on one disk.
    folder = os.open(path.parent, os.O_RDONLY)
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(f"/proc/self/fd/{folder}/{path.name}")
    os.close(folder)


ODD: list[Put] = [pipe, zeros, sockets]


@pytest.fixture
def root(tiny_copy: Path) -> Path:
    """A copy of synthweb:tiny, which lies as WebVision 1.0 does."""
    return tiny_copy


def replaced(path: Path, put: Put) -> Path:
    path.unlink(missing_ok=True)
    put(path)
    return path


@pytest.mark.parametrize("put", ODD)
@pytest.mark.parametrize("name", LISTS)
def test_a_list_that_is_not_a_file_is_named(root: Path, name: str, put: Put) -> None:
    path = replaced(root / "info" / name, put)
    with pytest.raises(DataError, match=f"{path} cannot be read: not a plain file but a "):
        read_split(root, "val" if name.startswith("val") else "train")


@pytest.mark.parametrize("put", ODD)
def test_metadata_that_is_not_a_file_is_named(root: Path, put: Put) -> None:
    path = replaced(next((root / "google").glob("q*.json")), put)
    with pytest.raises(DataError, match="json cannot be read: not a plain file but a "):
        read_json(path)


@pytest.mark.parametrize("put", ODD)
def test_a_picture_that_is_not_a_file_is_broken(root: Path, put: Put) -> None:
    samples = read_split(root, "train")
    replaced(root / str(samples.files[0]), put)
    said: list[str] = []
    pictures = Pictures(samples, said.append)
    loaded = pictures.training_batch(np.zeros(1, np.int64), slice(None), Crops(8, 0.5), (0, 0))
    assert loaded.rows[0] != 0
    assert len(said) == 1


def test_a_check_of_odd_files_ends(root: Path) -> None:
    replaced(next((root / "google").glob("q*.json")), pipe)
    replaced(root / "val_images_256" / "val000001.jpg", zeros)
    report = check(root, images="all")
    assert report.stops_a_run


def failing_once(monkeypatch: pytest.MonkeyPatch, ending: str, number: int, times: int) -> None:
    """Let the first readings of files with this ending fail."""
    pread, left = os.pread, [times]

    def read(descriptor: int, size: int, offset: int) -> bytes:
        if left[0] and str(Path(f"/proc/self/fd/{descriptor}").readlink()).endswith(ending):
            left[0] -= 1
            raise OSError(number, os.strerror(number))
        return pread(descriptor, size, offset)

    monkeypatch.setattr(os, "pread", read)
    monkeypatch.setattr(reading, "WAITS", (0.0, 0.0))


@pytest.mark.parametrize("ending", ["filelist_flickr.txt", "synsets.txt", "q0001.json"])
def test_lists_and_texts_wait_an_error_out(
    root: Path, monkeypatch: pytest.MonkeyPatch, ending: str
) -> None:
    expected = read_split(root, "train")
    failing_once(monkeypatch, ending, errno.EIO, 2)
    found = read_split(root, "train")
    assert found.fingerprint == expected.fingerprint
    assert found.texts() == expected.texts()


def test_a_list_that_cannot_be_read_is_not_taken_for_a_missing_one(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    failing_once(monkeypatch, "filelist_google.txt", errno.ESTALE, 99)
    for use in (lambda: read_split(root, "train"), lambda: detect_edition(root)):
        with pytest.raises(HarnessError, match=r"cannot read .*filelist_google\.txt: .*ESTALE"):
            use()


def test_an_edition_is_told_after_a_wait(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert detect_edition(root) is WEBVISION1 is not WEBVISION2
    failing_once(monkeypatch, "filelist_google.txt", errno.EIO, 1)
    assert detect_edition(root) is WEBVISION1


def test_labels_that_cannot_be_looked_for_are_not_taken_for_missing(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stat = Path.stat

    def fails(path: Path, *, follow_symlinks: bool = True) -> os.stat_result:
        if path.name == "test_labels.txt":
            raise OSError(errno.EIO, os.strerror(errno.EIO), str(path))
        return stat(path, follow_symlinks=follow_symlinks)

    monkeypatch.setattr(reading, "WAITS", (0.0,))
    monkeypatch.setattr(Path, "stat", fails)
    with pytest.raises(HarnessError, match=r"test_labels\.txt: .*EIO"):
        read_split(root, "test")


@pytest.mark.parametrize("put", ODD)
def test_an_index_that_is_not_a_file_is_named(tmp_path: Path, put: Put) -> None:
    put(tmp_path / "column.npy")
    with pytest.raises(DataError, match="damaged or missing"):
        index_module._column(tmp_path / "column.npy", index_module.np.int64, 3)
    with pytest.raises(DataError, match="damaged or missing"):
        index_module._blob(tmp_path / "column.npy")
