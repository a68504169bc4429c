"""Lists as editors, other systems and the web leave them: read byte by byte, or refused by name."""

from __future__ import annotations

import gzip
import os
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.data.webvision import missing_files, read_split
from harness.data.webvision.lists import parse as lists
from harness.data.webvision.lists.parse import (
    LABEL,
    NAME,
    parse_lines,
    parse_listing,
    read_bytes,
    shown,
)
from harness.data.webvision.lists.queries import read_queries, read_query_map
from harness.errors import DataError
from harness.testing.metrics import Top
from harness.testing.score import save_predictions

TREE = Path(__file__).parents[1] / "trees" / "webvision1"
PATH = Path("list.txt")
LINE = rb"(" + NAME + rb")[ \t]+" + LABEL
BLANKS = b" \t"
# A file's name as a list can hold it: no end of a line, no blank at its ends.
NAMES = (
    st.binary(min_size=1, max_size=12)
    .map(lambda name: re.sub(rb"[/\x00\r\n]", b"", name).strip(BLANKS))
    .filter(lambda name: name not in (b"", b".", b"..") and not re.search(rb"[ \t][0-9]+$", name))
)
ROWS = st.lists(st.tuples(NAMES, st.integers(0, 999_999_999)), min_size=1, max_size=5)
ENDS = st.sampled_from([b"\n", b"\r\n", b"\r", b"\n\n", b" \n", b"\t\r\n \r\n"])


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A copy of the tree with an empty picture at every line of its lists."""
    copy = tmp_path / "webvision"
    shutil.copytree(TREE, copy)
    for name, folder in (("train_filelist_all", ""), ("val_filelist", "val_images_256/")):
        for line in (copy / "info" / f"{name}.txt").read_text().split("\n"):
            if line:
                picture = copy / f"{folder}{line.split()[0]}"
                picture.parent.mkdir(parents=True, exist_ok=True)
                picture.touch()
    return copy


def change(path: Path, old: bytes, new: bytes) -> Path:
    content = path.read_bytes()
    assert old in content
    path.write_bytes(content.replace(old, new))
    return path


@given(ROWS, ENDS, st.sampled_from([b" ", b"\t", b"  \t "]))
def test_any_name_comes_back_byte_by_byte(
    rows: list[tuple[bytes, int]], end: bytes, separator: bytes
) -> None:
    content = end.join(name + separator + b"%d" % label for name, label in rows) + end
    found = parse_lines(PATH, content, LINE, "a 0")
    assert list(zip(found.columns[0], found.numbers(1).tolist(), strict=True)) == rows


@given(ROWS, ENDS)
def test_both_ways_through_a_training_list_agree(rows: list[tuple[bytes, int]], end: bytes) -> None:
    start = b"google/q0007/"
    content = end.join(start + name + b" %d" % label for name, label in rows)
    found = parse_listing(PATH, content, "google/q", (1, 6), "example")
    assert found.files.tolist() == [start + name for name, _ in rows]
    assert found.label.tolist() == [label for _, label in rows]
    pattern = rb"(google/q[0-9]{1,6}/" + NAME + rb")[ \t]+" + LABEL
    assert found.line.tolist() == parse_lines(PATH, content, pattern, "example").line.tolist()


@given(st.binary(max_size=60))
def test_no_bytes_crash_a_reader(content: bytes) -> None:
    for start in (b"", b"google/q1/a 0\n"):
        try:
            found = parse_listing(PATH, start + content, "google/q", (1, 6), "example")
        except DataError as error:
            said = str(error)
        else:
            said = f"line {found.line[-1]}"
            assert found.line[-1] <= len((start + content).splitlines())
        assert said.isprintable()


@pytest.mark.parametrize("size", [1, 20, 1000])
def test_lines_are_counted_as_an_editor_does(monkeypatch: pytest.MonkeyPatch, size: int) -> None:
    monkeypatch.setattr(lists, "CHUNK_BYTES", size)
    content = b"\n\ngoogle/q1/a 0\r\n \r\ngoogle/q1/b 1\r\rgoogle/q2/c 2\n"
    assert parse_listing(PATH, content, "google/q", (1, 6), "x").line.tolist() == [3, 5, 7]
    with pytest.raises(DataError, match=r"^list\.txt, line 9: 'wrong' is not like 'x'"):
        parse_listing(PATH, content + b"\nwrong\n", "google/q", (1, 6), "x")


@pytest.mark.parametrize(
    "name", ["synsets", "train_filelist_google", "val_filelist", "queries_google"]
)
def test_a_byte_order_mark_is_passed_over(root: Path, name: str) -> None:
    before = read_split(root, "train"), read_split(root, "val"), read_queries(root)
    path = root / "info" / f"{name}.txt"
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    train, val, queries = read_split(root, "train"), read_split(root, "val"), read_queries(root)
    assert train.files.tolist() == before[0].files.tolist()
    assert (train.classes, val.label.tolist()) == (before[0].classes, before[1].label.tolist())
    assert queries == before[2]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("val000001.jpg 0\n".encode("utf-16"), "is not UTF-8 text, probably UTF-16; save it"),
        ("val000001.jpg 0\n".encode("utf-16-le"), "is not UTF-8 text, probably UTF-16; save it"),
        (gzip.compress(b"val000001.jpg 0\n", mtime=0), "is compressed; unpack it"),
    ],
)
def test_what_is_not_a_text_is_refused_in_one_line(root: Path, content: bytes, said: str) -> None:
    path = root / "info" / "val_filelist.txt"
    path.write_bytes(content)
    with pytest.raises(DataError, match=rf"val_filelist\.txt {said}"):
        read_split(root, "val")


def test_the_file_that_the_list_names_is_found_byte_by_byte(root: Path, tmp_path: Path) -> None:
    names = [b"caf\xe9.jpg", b"caf\xe8.jpg", "caf\u00e9.jpg".encode(), b" a  b+%41?#&'\"\\.jpg"]
    folder = os.fsencode(root / "val_images_256")
    for name in names:
        Path(os.fsdecode(os.path.join(folder, name))).touch()  # noqa: PTH118 - bytes
    content = b"".join(name.strip() + b"\t%d\n" % (k % 3) for k, name in enumerate(names))
    (root / "info" / "val_filelist.txt").write_bytes(content)
    samples = read_split(root, "val")
    with pytest.raises(DataError, match=r"line 4: .* is not in .*; 1 of 4 pictures"):
        missing_files(samples)  # a blank at the front of a name is not part of it
    Path(os.fsdecode(os.path.join(folder, names[3].strip()))).touch()  # noqa: PTH118 - bytes
    assert missing_files(samples) == []
    assert all((samples.root / name).is_file() for name in samples.files.tolist())
    top = Top(np.zeros((4, 1), np.int32), np.ones((4, 1), np.float32))
    save_predictions(tmp_path / "kept.npz", samples, top)
    with np.load(tmp_path / "kept.npz") as kept:
        assert len(set(kept["files"].tolist())) == 4
        assert kept["files"].tolist() == samples.files.tolist()


def test_a_missing_picture_is_placed_whatever_separates_the_columns(root: Path) -> None:
    path = root / "info" / "train_filelist_flickr.txt"
    path.write_bytes(b"\r\n" + path.read_bytes().replace(b" ", b" \t").replace(b"\n", b"\r\n"))
    (root / "flickr/q0003/882915.jpg").unlink()
    with pytest.raises(DataError, match=r"flickr\.txt, line 4: 'flickr/q0003/882915\.jpg' is not"):
        missing_files(read_split(root, "train"))


def test_every_list_passes_over_blank_lines(root: Path) -> None:
    (root / "info" / "test_labels.txt").write_text("test000001.jpg 2\ntest000002.jpg 0\n")
    before = [read_split(root, split) for split in ("train", "val", "test")]
    for path in (root / "info").glob("*.txt"):
        path.write_bytes(b" \n" + path.read_bytes().replace(b"\n", b"\t\n\n") + b" \n \n")
    after = [read_split(root, split) for split in ("train", "val", "test")]
    for old, new in zip(before, after, strict=True):
        assert new.files.tolist() == old.files.tolist()
        assert new.label.tolist() == old.label.tolist()
        assert new.classes == old.classes
    assert after[0].texts() == before[0].texts()
    assert after[0].searched() == before[0].searched()


def test_lines_of_short_lists_are_named_past_blank_ones(root: Path) -> None:
    info = root / "info"
    change(info / "synsets.txt", b"n01443537", b"\n\nn01440764")
    with pytest.raises(DataError, match=r"synsets\.txt, line 4: n01440764 is on line 1 as well"):
        read_split(root, "val")
    (info / "queries_synsets_map.txt").write_text("\n1 1\n\n1 2\n")
    with pytest.raises(DataError, match=r"line 4: query 1 has synset 2 here .* on line 2"):
        read_query_map(root, 3, 3)
    (info / "queries_google.txt").write_text("1 a\n\n1 b\n")
    with pytest.raises(DataError, match=r"line 3: query 1 is listed twice"):
        read_queries(root)


def test_bytes_are_shown_without_control_characters() -> None:
    assert shown(b"caf\xe9 \x1b[31m") == r"'caf\xe9 \x1b[31m'"
    assert shown(b"a" * 200) == "'" + "a" * 80 + "...'"


def test_a_list_in_an_unknown_place_says_what_belongs_there(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="is missing: the layout"):
        read_bytes(tmp_path / "none.txt", "the layout")
