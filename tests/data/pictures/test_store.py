"""Reading pictures from folders and from inside archives, by row."""

from __future__ import annotations

import errno
import os
import pickle
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from harness.data.pictures import store
from harness.data.pictures.store import FolderStore, Tar, TarColumns, Tars, TarStore
from harness.data.pictures.strings import Strings
from harness.store.reading import is_proven

NAMES = [b"google/q0001/a.jpg", b"google/q0001/\xfcmlaut.jpg", b"", "flickr/写真.jpg".encode()]


def rows(*numbers: int) -> np.ndarray:
    return np.array(numbers, np.int64)


def test_strings_are_as_they_were_packed() -> None:
    strings = Strings.of(NAMES)
    assert len(strings) == 4
    assert [strings[row] for row in range(4)] == NAMES
    assert strings.every() == NAMES
    assert Strings.concatenate([strings, Strings.of([b"x"])]).every() == [*NAMES, b"x"]
    assert Strings.of([]).every() == []


def test_a_folder_is_read_by_row(tmp_path: Path) -> None:
    (tmp_path / "q").mkdir()
    for number in range(4):
        (tmp_path / "q" / f"é{number}.jpg").write_bytes(b"%d" % number * 1000)
    pictures = FolderStore(tmp_path, [f"q/é{number}.jpg" for number in range(4)])
    assert len(pictures) == 4
    assert pictures.name(2) == "q/é2.jpg"
    assert [pictures.read(row)[:1] for row in range(4)] == [b"0", b"1", b"2", b"3"]
    taken = pictures.take(rows(3, 1, 3)).take(rows(1, 2))
    assert len(taken) == 2
    assert [taken.name(row) for row in range(2)] == ["q/é1.jpg", "q/é3.jpg"]
    assert taken.read(1) == b"3" * 1000
    with pytest.raises(IndexError):
        pictures.take(rows(4)).read(0)


def test_names_that_are_not_utf8_are_read_from_packed_names(tmp_path: Path) -> None:
    Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xfc.jpg")).write_bytes(b"x")
    pictures = FolderStore(tmp_path, Strings.of([b"\xfc.jpg"]))
    assert pictures.read(0) == b"x"
    assert pictures.name(0) == "\ufffd.jpg"


def test_what_is_not_a_plain_file_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.jpg")
    (tmp_path / "folder.jpg").mkdir()
    with (tmp_path / "huge.jpg").open("wb") as file:
        file.truncate(store.MAX_PICTURE_BYTES + 1)
    names = ["pipe.jpg", "folder.jpg", "huge.jpg", "none.jpg"]
    pictures = FolderStore(tmp_path, names)
    for row in range(4):
        with pytest.raises(OSError, match=names[row]):
            pictures.read(row)


@pytest.fixture
def tars(tmp_path: Path) -> list[Tar]:
    """Three files of which the store knows nothing but places."""
    found = []
    for number in range(3):
        path = tmp_path / f"{number}.tar"
        path.write_bytes(bytes([65 + number]) * 1000)
        found.append(Tar(path, 1000))
    return found


def tar_store(tars: list[Tar], places: list[tuple[int, int, int]]) -> TarStore:
    shard, offset, length = zip(*places, strict=True)
    columns = TarColumns(
        np.array(shard, np.int16), np.array(offset, np.int64), np.array(length, np.int32)
    )
    return TarStore(Tars(tars), columns, Strings.of(b"%d.jpg" % k for k in range(len(places))))


def test_members_are_read_from_their_archives(tars: list[Tar]) -> None:
    pictures = tar_store(tars, [(2, 0, 5), (0, 990, 10), (1, 3, 0)])
    assert [pictures.read(row) for row in range(3)] == [b"CCCCC", b"A" * 10, b""]
    assert pictures.start(1, 4) == b"AAAA"
    assert pictures.start(0, 16) == b"CCCCC"
    assert pictures.name(1) == "1.jpg"
    assert pictures.where(1) == f"{tars[0].path}, offset 990, 1.jpg"
    assert pictures.take(rows(2, 0)).take(rows(1)).read(0) == b"CCCCC"


def test_a_store_goes_to_other_processes(tars: list[Tar]) -> None:
    pictures = tar_store(tars, [(0, 0, 5), (1, 0, 5)])
    assert pictures.read(0) == b"AAAAA"
    assert pickle.loads(pickle.dumps(pictures)).read(1) == b"BBBBB"
    child = os.fork()
    if not child:
        right = pictures.read(0) == b"AAAAA" and pictures.read(1) == b"BBBBB"
        os._exit(0 if right else 1)
    assert os.waitpid(child, 0)[1] == 0


def test_places_outside_an_archive_are_errors(tars: list[Tar]) -> None:
    large = store.MAX_PICTURE_BYTES + 1
    places = [(0, 995, 10), (-1, 0, 0), (3, 0, 1), (0, -5, 1), (0, 0, -1), (0, 0, large)]
    pictures = tar_store(tars, places)
    messages = ["ends inside", "not in any indexed archive", "no archive 3"]
    messages += ["Invalid argument", "too many for a picture", "too many for a picture"]
    for row, message in enumerate(messages):
        with pytest.raises(OSError, match=message):
            pictures.read(row)
    assert "not in any archive" in pictures.where(1)


def test_a_changed_or_missing_archive_is_an_error(tars: list[Tar]) -> None:
    tars[0].path.write_bytes(b"short")
    tars[1].path.unlink()
    pictures = tar_store(tars, [(0, 0, 5), (1, 0, 5)])
    with pytest.raises(OSError, match="1000 when indexed; index it again"):
        pictures.read(0)
    with pytest.raises(OSError, match="was removed after it was indexed") as gone:
        pictures.read(1)
    assert not is_proven(gone.value)  # else every picture in it would be called broken


def test_a_file_server_that_was_started_anew_is_asked_with_a_new_descriptor(
    tars: list[Tar], monkeypatch: pytest.MonkeyPatch
) -> None:
    pictures = tar_store(tars, [(0, 0, 5)])
    pictures.read(0)
    known, pread = descriptors(), os.pread

    def stale(descriptor: int, size: int, offset: int) -> bytes:
        if not asked.append(descriptor) and len(asked) == 1:
            raise OSError(errno.ESTALE, os.strerror(errno.ESTALE))
        return pread(descriptor, size, offset)

    asked: list[int] = []
    monkeypatch.setattr(os, "pread", stale)
    assert pictures.read(0) == b"AAAAA"
    assert len(set(asked)) == 2
    assert descriptors() == known


def descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="cannot count descriptors here")
def test_descriptors_are_few_and_closed(tars: list[Tar], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store, "MAX_OPEN_TARS", 2)
    before = descriptors()
    pictures = tar_store(tars, [(0, 0, 1), (1, 0, 1), (2, 0, 1)])
    assert descriptors() == before
    for _ in range(3):
        assert [pictures.read(row) for row in range(3)] == [b"A", b"B", b"C"]
    assert descriptors() == before + 2
    del pictures
    assert descriptors() == before


def test_four_threads_read_at_once(tars: list[Tar]) -> None:
    places = [(row % 3, row % 900, 50) for row in range(1000)]
    pictures = tar_store(tars, places)
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(pictures.read, list(range(1000)) * 4))
    assert found == [bytes([65 + shard]) * 50 for shard, _, _ in places] * 4
