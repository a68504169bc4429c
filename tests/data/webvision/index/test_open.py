"""Indexing real archives of pictures together with the lists, and reading through the index."""

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
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from harness.data.tar import walks
from harness.data.tar.headers import TarWalk
from harness.data.webvision.index.build import IndexResult, build_index
from harness.data.webvision.index.open import open_index, verify_index
from harness.errors import DataError
from harness.samples import Text
from harness.store.lock import exclusive_lock

TREE = Path(__file__).parents[2] / "trees" / "webvision1"
SOURCES = ("google", "flickr")


def picture(name: str) -> bytes:
    """Bytes that begin like a JPEG, and are those of no other name."""
    return b"\xff\xd8\xff\xe0" + name.encode() * (1 + len(name) % 7)


def write_tar(path: Path, names: list[str], *, front: str = "", kind: str = "gnu") -> None:
    form = tarfile.PAX_FORMAT if kind == "pax" else tarfile.GNU_FORMAT
    with tarfile.open(path, "w", format=form) as archive:
        for name in names:
            content = picture(name)
            member = tarfile.TarInfo(front + name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))


def listed(root: Path, split: str) -> list[str]:
    file = "train_filelist_all.txt" if split == "train" else f"{split}_filelist.txt"
    names = [line.split()[0] for line in (root / "info" / file).read_text().splitlines()]
    return names if split == "train" else [f"{split}_images_256/{name}" for name in names]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """The lists of the hand-written tree, and its pictures in archives as 1.0 has them."""
    folder = tmp_path / "webvision"
    shutil.copytree(TREE / "info", folder / "info")
    train = listed(folder, "train")
    for source in SOURCES:
        names = [name for name in train if name.startswith(source)]
        write_tar(folder / f"{source}_resized_256.tar", names)
    write_tar(folder / "val_images_256.tar", listed(folder, "val"), front="./")
    write_tar(folder / "test_images_256.tar", listed(folder, "test"), kind="pax")
    return folder


def refused(root: Path, **options) -> str:
    with pytest.raises(DataError) as raised:
        build_index(root, **options)
    assert "\n" not in str(raised.value)
    return str(raised.value)


def all_read(root: Path, split: str) -> list[bytes]:
    opened = open_index(root, split)
    return [opened.store.read(row) for row in range(len(opened))]


def test_every_picture_is_read_in_place(root: Path) -> None:
    built = build_index(root)
    assert built.edition == "webvision1"
    assert {name: (split.rows, split.found) for name, split in built.splits.items()} == {
        "train": (9, 9),
        "val": (4, 4),
        "test": (2, 2),
    }
    assert built.members == 15
    for split in ("train", "val", "test"):
        names = listed(root, split)
        opened = open_index(root, split)
        assert [opened.store.name(row) for row in range(len(opened))] == names
        assert all_read(root, split) == [picture(name) for name in names]
    assert not (root / "google").exists()


def test_the_columns_are_those_of_the_lists(root: Path) -> None:
    build_index(root)
    train = open_index(root, "train")
    assert train.label.tolist() == [0, 0, 2, 1, 2, 0, 2, 2, 1]
    assert train.source.tolist() == [0] * 5 + [1] * 4
    assert train.query.tolist() == [1, 1, 3, 2, 3, 1, 3, 3, 2]
    assert train.rank.tolist() == [0, 1, 0, 0, 1, 0, 0, 1, 0]
    assert train.source_names == ("google", "flickr")
    assert train.names[0] == b"google/q0001/fO-sCvBzZnJH5M.jpg"
    assert train.packed_texts is None
    assert train.text(0) == Text()
    assert open_index(root, "val").label.tolist() == [2, 0, 1, 2]
    assert open_index(root, "test").label.tolist() == [-1, -1]
    with pytest.raises(ValueError, match="read-only"):
        train.label[0] = 1


def test_threads_read_at_once_after_take(root: Path) -> None:
    build_index(root)
    opened = open_index(root, "train")
    rows = np.random.default_rng(0).integers(0, 9, 400)
    taken = opened.store.take(rows)
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(taken.read, range(400)))
    names = listed(root, "train")
    assert found == [picture(names[row]) for row in rows.tolist()]


def test_lists_inside_info_tar(root: Path) -> None:
    with tarfile.open(root / "info.tar", "w") as archive:
        archive.add(root / "info", "info")
    expected = all_read_after(root, build_index(root))
    shutil.rmtree(root / "info")
    built = build_index(root)
    assert all_read_after(root, built) == expected
    assert not (root / "info").exists()


def all_read_after(root: Path, built: IndexResult) -> dict[str, list[bytes]]:
    assert all(split.found == split.rows for split in built.splits.values())
    return {split: all_read(root, split) for split in built.splits}


@pytest.mark.parametrize("front", ["./", "webvision/", "data/webvision/1.0/"])
def test_folders_before_the_names_are_found_out(root: Path, front: str) -> None:
    for source in SOURCES:
        names = [name for name in listed(root, "train") if name.startswith(source)]
        write_tar(root / f"{source}_resized_256.tar", names, front=front)
    built = build_index(root)
    assert built.splits["train"].found == 9
    assert not built.unlisted


def test_other_top_folders_are_found_out(root: Path) -> None:
    """val flat in its archive, and both sources in one, each below another folder."""
    contents = {name: picture(name) for name in [*listed(root, "train"), *listed(root, "val")]}
    for path in root.glob("*.tar"):
        path.unlink()
    with tarfile.open(root / "all.tar", "w") as archive:
        for name, content in contents.items():
            other = name.replace("google/", "google_256/").replace("flickr/", "flickr_256/")
            member = tarfile.TarInfo(other.removeprefix("val_images_256/"))
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    built = build_index(root)
    assert {name: split.found for name, split in built.splits.items()} == {
        "train": 9,
        "val": 4,
        "test": 0,
    }
    assert all_read(root, "train") == [picture(name) for name in listed(root, "train")]
    assert all_read(root, "val") == [picture(name) for name in listed(root, "val")]


def test_missing_repeated_and_unlisted_members_are_counted_and_named(root: Path) -> None:
    flickr = [name for name in listed(root, "train") if name.startswith("flickr")]
    write_tar(root / "flickr_resized_256.tar", [*flickr[1:], "flickr/q0009/new.jpg", "README"])
    write_tar(root / "google_more.tar", ["google/q0002/fO-sCvBzZnJH5M.jpg"])
    lines = root / "info" / "train_filelist_google.txt"
    lines.write_text(lines.read_text() + "google/q0003/aa0kRj2_-mmQhM.jpg 1\n")
    built = build_index(root)
    assert built.splits["train"].rows == 10
    assert built.splits["train"].found == 9
    assert built.splits["train"].first_missing == ("flickr/q0001/2680197397.jpg",)
    assert built.duplicates == {"google_resized_256.tar": 1}
    assert built.first_duplicate == "google/q0002/fO-sCvBzZnJH5M.jpg"
    assert built.unlisted == {"flickr_resized_256.tar": 2}
    assert built.first_unlisted == "flickr/q0009/new.jpg"
    assert built.repeated_entries == 1
    train = open_index(root, "train")
    assert train.store.read(4) == train.store.read(5)
    with pytest.raises(FileNotFoundError, match="not in any indexed archive"):
        train.store.read(6)


def test_of_members_that_share_a_name_the_last_counts(root: Path) -> None:
    with tarfile.open(root / "val_images_256.tar", "a") as archive:
        member = tarfile.TarInfo("val_images_256/val000002.jpg")
        member.size = 5
        archive.addfile(member, io.BytesIO(b"newer"))
    built = build_index(root)
    assert built.duplicates == {"val_images_256.tar": 1}
    assert all_read(root, "val")[1] == b"newer"


def test_one_source_alone(root: Path) -> None:
    built = build_index(root, only=["google_resized_256.tar"])
    assert built.splits["train"].found == 5
    assert built.splits["val"].found == 0
    assert "did you mean 'google_resized_256.tar'" in refused(root, only=["google_resized.tar"])


def test_the_second_edition(tmp_path: Path) -> None:
    info = tmp_path / "info"
    info.mkdir()
    (info / "synsets.txt").write_text("n01440764 tench\nn01443537 goldfish\n")
    google = [f"google_images_resized/q0000{k}/a{k}.jpg" for k in (1, 2)]
    flickr = ["flickr_images_resized/q00002/6778321733.jpg"]
    (info / "train_filelist_google.txt").write_text("".join(f"{n} 0\n" for n in google))
    (info / "train_filelist_flickr.txt").write_text("".join(f"{n} 1\n" for n in flickr))
    (tmp_path / "val_filelist.txt").write_text("val000001.jpg 0\n")
    (tmp_path / "test_filelist.txt").write_text("test000001.jpg\n")
    write_tar(tmp_path / "webvision_train_00.tar", [google[1], flickr[0]])
    write_tar(tmp_path / "webvision_train_01.tar", google[:1])
    write_tar(tmp_path / "val_images_resized.tar", ["val_images_resized/val000001.jpg"])
    write_tar(tmp_path / "test_images_resized.tar", ["test_images_resized/test000001.jpg"])
    built = build_index(tmp_path)
    assert built.edition == "webvision2"
    assert all(split.found == split.rows for split in built.splits.values())
    assert all_read(tmp_path, "train") == [picture(name) for name in [*google, *flickr]]
    assert all_read(tmp_path, "test") == [picture("test_images_resized/test000001.jpg")]
    assert open_index(tmp_path, "train").places.shard.tolist() == [3, 2, 2]


@pytest.mark.parametrize("where", ["folder", "archive", "flat archive"])
def test_texts_come_from_folders_or_archives(root: Path, where: str) -> None:
    for source in SOURCES:
        if where == "folder":
            shutil.copytree(TREE / source, root / source)
        else:
            with tarfile.open(root / f"{source}_meta.tar", "w") as archive:
                archive.add(TREE / source, source if where == "archive" else ".")
    built = build_index(root)
    assert not built.unlisted
    train = open_index(root, "train")
    assert train.text(0) == Text("Tench - Wikipedia", "The tench or doctor fish")
    expected = (len(train), sum(train.text(row) != Text() for row in range(len(train))))
    assert (built.splits["train"].rows, built.splits["train"].texts) == expected
    from harness.data.webvision import read_split

    whole = root.parent / "whole"
    shutil.copytree(TREE, whole)
    assert train.texts(np.arange(9)) == read_split(whole, "train").texts()
    assert build_index(root, texts=False).splits["train"].texts is None


def test_broken_metadata_costs_its_texts_only(root: Path) -> None:
    shutil.copytree(TREE / "google", root / "google")
    (root / "google" / "q0001.json").write_text("[{]")
    (root / "google" / "q0003.json").write_text('[{"title": "\\ud800", "tags": "a b"}]')
    (root / "google" / "q0002.json").unlink()
    built = build_index(root)
    train = built.splits["train"]
    assert train.texts == 1
    assert train.text_problems == {
        "rows whose JSON file is missing or broken": 3,
        "rows that point outside their JSON file": 1,
    }
    assert open_index(root, "train").text(2) == Text("?", "", ("a", "b"))


def test_a_second_indexing_walks_only_what_is_new(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = build_index(root)
    walked: list[str] = []

    class Noted(TarWalk):
        def __init__(self, path: Path, start: int = 0) -> None:
            walked.append(path.name)
            super().__init__(path, start)

    monkeypatch.setattr(walks, "TarWalk", Noted)
    assert build_index(root) == first
    assert walked == []
    write_tar(root / "val_images_256.tar", listed(root, "val"), front="x/")
    build_index(root)
    assert walked == ["val_images_256.tar"]
    assert all_read(root, "val") == [picture(name) for name in listed(root, "val")]
    kept = list((root / ".harness-index" / "walks").iterdir())
    assert len(kept) == 4


def test_a_damaged_piece_is_walked_again(root: Path) -> None:
    first = build_index(root)
    for number, path in enumerate(sorted((root / ".harness-index" / "walks").rglob("*.npz"))):
        content = bytearray(path.read_bytes())
        content[len(content) // 2] ^= 0xFF
        path.write_bytes(content[: len(content) - 7 * (number % 2)])
    assert build_index(root) == first
    assert all_read(root, "train") == [picture(name) for name in listed(root, "train")]


def test_a_killed_indexing_goes_on(root: Path) -> None:
    """Killed where it says so, in the middle of the second archive, and then started again."""
    program = """
        import sys, time
        from pathlib import Path
        from harness.data.webvision.index.build import build_index

        def progress(text):
            print(text, flush=True)
            if "archive 2" in text and ": 4 members" in text:
                time.sleep(600)

        build_index(Path(sys.argv[1]), progress=progress, piece=2)
    """
    process = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(program), str(root)],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout
    for line in process.stdout:
        if "archive 2" in line and ": 4 members" in line:
            break
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    process.stdout.close()
    index = root / ".harness-index"
    assert not (index / "index.json").exists()
    with pytest.raises(DataError, match="no finished index"):
        open_index(root, "train")
    before = {path: path.stat().st_mtime_ns for path in index.rglob("*.npz")}
    assert len(before) == 5  # two pieces and the end of flickr, two pieces of google
    built = build_index(root, piece=2)
    assert all(path.stat().st_mtime_ns == time for path, time in before.items())
    assert all(split.found == split.rows for split in built.splits.values())
    assert all_read(root, "train") == [picture(name) for name in listed(root, "train")]


def test_an_output_elsewhere_and_an_index_by_its_own_path(root: Path, tmp_path: Path) -> None:
    output = tmp_path / "elsewhere" / "index"
    build_index(root, output=output)
    assert not (root / ".harness-index").exists()
    assert all_read(output, "val") == [picture(name) for name in listed(root, "val")]
    build_index(root)
    moved = root.rename(tmp_path / "moved")
    assert all_read(moved, "val") == all_read(moved / ".harness-index", "val")
    with pytest.raises(DataError, match="cannot be read: No such file"):
        open_index(output, "val")


def test_changed_and_missing_archives_are_one_clear_line(root: Path) -> None:
    build_index(root)
    path = root / "google_resized_256.tar"
    os.utime(path, ns=(0, 0))
    with pytest.raises(DataError, match=r"google_resized_256\.tar has changed since"):
        open_index(root, "train")
    path.unlink()
    with pytest.raises(DataError, match=r"google_resized_256\.tar cannot be read: No such file"):
        verify_index(root, print)


@pytest.mark.parametrize("name", ["label.npy", "offset.npy", "names.bin"])
def test_a_column_that_was_edited_is_refused_when_it_is_opened(root: Path, name: str) -> None:
    build_index(root)
    (path,) = (root / ".harness-index").glob(f"columns-*/train/{name}")
    kept = path.read_bytes()
    path.write_bytes(kept[:-1] + bytes([kept[-1] ^ 1]))
    with pytest.raises(DataError, match=rf"{name} is damaged: not what harness data index wrote"):
        open_index(root, "train")
    assert len(open_index(root, "val")) == 4  # of files of its own
    path.write_bytes(kept)  # the same content at another time, as in a copy
    assert len(open_index(root, "train")) == 9


def test_an_index_of_an_earlier_version_is_compared_each_time(root: Path) -> None:
    build_index(root)
    marker = root / ".harness-index" / "index.json"
    about = json.loads(marker.read_text())
    assert set(about.pop("times")) == set(about["files"])
    marker.write_text(json.dumps(about))
    assert len(open_index(root, "train")) == 9
    (path,) = (root / ".harness-index").glob("columns-*/train/label.npy")
    before = path.stat()
    path.write_bytes(path.read_bytes()[:-1] + b"\x01")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    with pytest.raises(DataError, match=r"label\.npy is damaged"):
        open_index(root, "train")


def test_verify_finds_damage_in_any_column(root: Path) -> None:
    shutil.copytree(TREE / "google", root / "google")
    build_index(root)
    assert verify_index(root, print, pictures=True) == []
    files = sorted((root / ".harness-index").glob("columns-*/*/*"))
    assert len(files) == 3 * 10 + 3
    for file in files:
        content = file.read_bytes()
        file.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
        with pytest.raises(DataError, match="is damaged or missing"):
            verify_index(root, print)
        file.unlink()
        with pytest.raises(DataError, match="is damaged or missing"):
            verify_index(root, print)
        file.write_bytes(content)
    assert verify_index(root, print) == []


def test_cut_columns_do_not_open(root: Path) -> None:
    build_index(root)
    for name in ("label.npy", "names.bin"):
        (path,) = (root / ".harness-index").glob(f"columns-*/val/{name}")
        content = path.read_bytes()
        path.write_bytes(content[:-4] if name == "label.npy" else b"")
        with pytest.raises(DataError, match="is damaged"):
            open_index(root, "val")
        path.write_bytes(content)


def test_verify_data_names_what_is_not_a_picture(root: Path) -> None:
    data = bytearray((root / "val_images_256.tar").read_bytes())
    place = data.index(b"\xff\xd8\xff")
    data[place : place + 4] = b"<htm"
    (root / "val_images_256.tar").write_bytes(data)
    build_index(root)
    (problem,) = verify_index(root, print, pictures=True)
    assert problem == (
        f"val: {root / 'val_images_256.tar'}, offset {place}, val_images_256/val000001.jpg "
        "is not a picture"
    )


@pytest.mark.parametrize(
    "content", [b"", b"[]", b"{", b'{"format": 9}', b'{"format": 1, "splits": {}, "columns": ".."}']
)
def test_a_broken_marker_is_one_clear_line(root: Path, content: bytes) -> None:
    build_index(root)
    (root / ".harness-index" / "index.json").write_bytes(content)
    with pytest.raises(DataError, match=r"index\.json .*run harness data index again"):
        open_index(root, "train")
    build_index(root)
    assert len(open_index(root, "train")) == 9


def test_what_cannot_be_indexed(root: Path, tmp_path: Path) -> None:
    assert "is not a folder" in refused(tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    assert "holds no .tar archive" in refused(tmp_path / "empty")
    path = root / "google_resized_256.tar"
    whole = path.read_bytes()
    path.write_bytes(whole[:2570])
    message = refused(root)
    assert str(path) in message
    assert "offset 2048: the archive is cut short" in message
    path.write_bytes(whole)
    (root / "info" / "train_filelist_google.txt").write_text("google/q0001/a.jpg\n")
    assert "train_filelist_google.txt, line 1" in refused(root)
    shutil.rmtree(root / "info")
    assert "does not hold an edition of WebVision" in refused(root)
    with tarfile.open(root / "info.tar", "w"):
        pass
    assert "info.tar holds no list" in refused(root)


def test_a_second_indexing_waits_for_the_first(
    root: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    with ThreadPoolExecutor(1) as threads:
        with exclusive_lock(root / ".harness-index" / ".lock", "indexes the same archives"):
            second = threads.submit(build_index, root)
            said = ""
            while not said and not second.done():
                said = capfd.readouterr().err
            assert not second.done()
        assert second.result().tars > 0
    assert said.startswith(f"waiting for process {os.getpid()} on ")
    assert "which indexes the same archives" in said


def test_index_json_says_what_was_read(root: Path) -> None:
    built = build_index(root)
    about = json.loads((built.index / "index.json").read_text())
    assert about["root"] == ".."
    assert [name for name, _, _ in about["tars"]] == sorted(p.name for p in root.glob("*.tar"))
    names = {
        f"info/train_{what}_{source}.txt"
        for what in ("filelist", "meta_list")
        for source in SOURCES
    }
    assert set(about["lists"]) == names | {"info/val_filelist.txt", "info/test_filelist.txt"}
