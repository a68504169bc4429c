"""An index notices archives and lists that have changed, and says what to do about it."""

from __future__ import annotations

import io
import os
import shutil
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from harness.data.webvision import WebVision1
from harness.data.webvision.index.build import build_index
from harness.data.webvision.index.changes import changed_lists, remedy
from harness.data.webvision.index.open import open_index, read_marker
from harness.errors import DataError
from harness.spec import DataSpec, RunSpec

TREE = Path(__file__).parents[2] / "trees" / "webvision1"
GOOGLE = "info/train_filelist_google.txt"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """The hand-written tree with its pictures in one archive, and metadata unpacked; indexed."""
    folder = tmp_path / "webvision"
    shutil.copytree(TREE, folder)
    info = folder / "info"
    train = (info / "train_filelist_all.txt").read_text().splitlines()
    val = (info / "val_filelist.txt").read_text().splitlines()
    names = [line.split()[0] for line in train]
    names += [f"val_images_256/{line.split()[0]}" for line in val]
    with tarfile.open(folder / "all.tar", "w") as archive:
        for name in names:
            member = tarfile.TarInfo(name)
            member.size = 4
            archive.addfile(member, io.BytesIO(b"\xff\xd8\xff\xe0"))
    build_index(folder)
    return folder


def refused(root: Path) -> str:
    """What a run says at its start."""
    spec = RunSpec(plugin="any", data=DataSpec(name="webvision1", path=str(root)))
    with pytest.raises(DataError) as raised:
        WebVision1().load_samples(spec, "train")
    assert "\n" not in str(raised.value)
    return str(raised.value)


def edit(path: Path, old: str, new: str) -> None:
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new, 1))


def append(root: Path) -> None:
    edit(root / GOOGLE, "google/q0001/3S", "google/q0001/new.jpg 0\ngoogle/q0001/3S")
    meta = root / "info/train_meta_list_google.txt"
    edit(meta, "google/q0001.json 3", "google/q0001.json 1\ngoogle/q0001.json 3")


def relabel(root: Path) -> None:
    """As many bytes as before, and a second later."""
    edit(root / GOOGLE, "M.jpg 1", "M.jpg 0")
    later(root / GOOGLE)


def relabel_val(root: Path) -> None:
    edit(root / "info/val_filelist.txt", "1", "01")


def publish(root: Path) -> None:
    (root / "info/test_labels.txt").write_text("test000001.jpg 0\ntest000002.jpg 1\n")


def remove(root: Path) -> None:
    (root / "info/test_filelist.txt").unlink()


def move_text(root: Path) -> None:
    edit(root / "info/train_meta_list_flickr.txt", " 1", " 01")


def rewrite_archive(root: Path) -> None:
    later(root / "all.tar")


def lose_archive(root: Path) -> None:
    (root / "all.tar").unlink()


def later(path: Path) -> None:
    time = path.stat().st_mtime_ns + 10**9
    os.utime(path, ns=(time, time))


@pytest.mark.parametrize(
    ("spoil", "expected"),
    [
        (append, f"{GOOGLE} has changed since it was indexed ("),
        (relabel, f"{GOOGLE} has changed since it was indexed (same size, different content)"),
        (relabel_val, "info/val_filelist.txt has changed since it was indexed ("),
        (publish, "info/test_labels.txt is not in the index"),
        (remove, "info/test_filelist.txt was indexed and is missing now"),
        (move_text, "info/train_meta_list_flickr.txt has changed since it was indexed ("),
        (rewrite_archive, "all.tar has changed since it was indexed ("),
        (lose_archive, "all.tar cannot be read: No such file or directory"),
    ],
)
def test_what_changed_is_named_and_one_command_repairs_it(
    root: Path, spoil: Callable[[Path], None], expected: str
) -> None:
    spoil(root)
    message = refused(root)
    assert message.startswith(f"{root}/")
    assert expected in message
    assert message.endswith(f"; run harness data index {root}")
    if spoil is not lose_archive:
        build_index(root)
        assert len(open_index(root, "train")) == (10 if spoil is append else 9)


def test_what_is_the_same_again_is_not_a_change(root: Path) -> None:
    """Copied once more, or lists that no index is made of."""
    for path in (root / "info").iterdir():
        later(path)
    (root / "info" / "queries_google.txt").write_text("1 other\n")
    (root / "info" / "train_filelist_all.txt").unlink()
    assert len(open_index(root, "train")) == 9


def test_several_changes_are_counted(root: Path) -> None:
    append(root)
    relabel_val(root)
    lose_archive(root)
    message = refused(root)
    assert "all.tar cannot be read" in message
    assert f" (and 3 more); run harness data index {root}" in message


def test_metadata_lists_matter_to_an_index_with_texts_only(root: Path) -> None:
    build_index(root, texts=False)
    move_text(root)
    assert len(open_index(root, "train")) == 9


def test_a_list_that_came_is_not_left_out_in_silence(root: Path) -> None:
    flickr = root / "info/train_filelist_flickr.txt"
    kept = flickr.rename(root / "kept.txt")
    build_index(root)
    message = refused(root)
    assert f"{root} was indexed without {flickr.relative_to(root)}" in message
    assert message.endswith("choose source=google")
    kept.rename(flickr)
    assert f"{flickr} is not in the index" in refused(root)


def test_texts_that_are_not_in_the_index_are_asked_for_in_vain(root: Path) -> None:
    spec = RunSpec(plugin="any", data=DataSpec(name="webvision1", path=str(root)))
    assert any(text.title for text in WebVision1().load_samples(spec, "train").texts())
    build_index(root, texts=False)
    samples = WebVision1().load_samples(spec, "train")
    with pytest.raises(DataError, match=r"has no texts of google.* run harness data index"):
        samples.texts()


def test_lists_inside_info_tar_or_unpacked_from_it(root: Path) -> None:
    with tarfile.open(root / "info.tar", "w") as archive:
        archive.add(root / "info", "info")
    unpacked = (root / "info").rename(root / "aside")
    assert "info.tar is not in the index" in refused(root)
    build_index(root)
    assert len(open_index(root, "train")) == 9
    later(root / "info.tar")
    assert len(open_index(root, "train")) == 9
    shutil.copytree(unpacked, root / "info")  # as if it were unpacked now
    assert len(open_index(root, "train")) == 9
    relabel(root)
    assert f"{GOOGLE} has changed" in refused(root)
    shutil.rmtree(root / "info")
    content = (root / "info.tar").read_bytes()
    (root / "info.tar").write_bytes(content.replace(b"M.jpg 1", b"M.jpg 0"))
    later(root / "info.tar")
    assert "info.tar has changed since it was indexed (same size" in refused(root)
    build_index(root)
    assert open_index(root, "train").label.tolist().count(0) == 4


def test_an_index_elsewhere_says_where_it_is(root: Path, tmp_path: Path) -> None:
    index = tmp_path / "else where"
    build_index(root, output=index)
    assert remedy(root, index) == f"harness data index {root} --output '{index}'"
    append(root)
    said = list(changed_lists(root, index, read_marker(index)))
    assert [line.partition(" ")[0] for line in said] == [
        str(root / "info" / f"train_{what}_google.txt") for what in ("filelist", "meta_list")
    ]


def test_an_index_of_an_older_version_is_built_again(root: Path) -> None:
    path = root / ".harness-index" / "index.json"
    path.write_text(path.read_text().replace('"format": 2', '"format": 1'))
    assert "was written by another version; run harness data index again" in refused(root)
