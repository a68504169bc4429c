"""The fast way through a list and the slow one: the same lines, the same complaints."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from harness.data.webvision.lists import parse as lists
from harness.data.webvision.lists.parse import Listing, parse_lines, parse_listing, split_lines
from harness.errors import DataError

PATH = Path("list.txt")
PLAIN = b"google/q0001/a-_b.jpg 0\ngoogle/q12/c.d.JPEG 17\ngoogle/q000003/e 999999999\n"


def parse(content: bytes) -> Listing:
    return parse_listing(PATH, content, "google/q", (1, 6), "google/q0001/name.jpg 0")


def as_lists(listing: Listing) -> tuple[list[bytes], list[int], list[int], list[int]]:
    return tuple(column.tolist() for column in listing)  # type: ignore[return-value]


def test_lines_are_taken_apart() -> None:
    files = [b"google/q0001/a-_b.jpg", b"google/q12/c.d.JPEG", b"google/q000003/e"]
    assert as_lists(parse(PLAIN)) == (files, [1, 12, 3], [0, 17, 999999999], [1, 2, 3])
    assert parse(PLAIN).label.dtype == np.int32


@pytest.mark.parametrize(
    "content",
    [
        PLAIN.replace(b" ", b"\t"),
        PLAIN.replace(b" ", b"  "),
        PLAIN.replace(b"\n", b" \n"),
        PLAIN.replace(b"\n", b"\r\n"),
        PLAIN.rstrip(b"\n"),
        PLAIN + b"\n\n",
        b"\n\n" + PLAIN,
        PLAIN.replace(b"\n", b"\n\n"),
        PLAIN.replace(b"\n", b"\r"),
        PLAIN.replace(b"\n", b"\n \n"),
        PLAIN.replace(b" ", b"\t  \t"),
        PLAIN + b" \t",
        b"  " + PLAIN.replace(b"\n", b"\t\n "),
    ],
)
def test_the_slow_way_reads_the_same(content: bytes) -> None:
    assert as_lists(parse(content))[:3] == as_lists(parse(PLAIN))[:3]


@pytest.mark.parametrize("size", [1, 30, 50, 70, 1000])
def test_pieces_join_to_the_whole(monkeypatch: pytest.MonkeyPatch, size: int) -> None:
    monkeypatch.setattr(lists, "CHUNK_BYTES", size)
    assert as_lists(parse(PLAIN * 3)) == as_lists(parse(PLAIN * 3))
    assert as_lists(parse(PLAIN * 3))[2] == [0, 17, 999999999] * 3
    odd = PLAIN + "google/q0001/\u00e9t\u00e9.jpg 5\n".encode() + PLAIN
    assert as_lists(parse(odd))[0][3].decode() == "google/q0001/\u00e9t\u00e9.jpg"


@pytest.mark.parametrize(
    "line",
    [
        "google/q0001/a.jpg",
        "google/q0001/a.jpg 0 0",
        "google/q0001/a.jpg  ",
        "google/q0001/a.jpg x",
        "google/q0001/a.jpg 1234567890",
        "google/q0001/a.jpg -1",
        "google/q0001/ 0",
        "google/q0001/a/b.jpg 0",
        "google/q0001/.. 0",
        "google/q0001/. 0",
        "google/q0001/../a.jpg 0",
        "google/q0001/a.jpg +3",
        "google/q0001/a.jpg 3.0",
        "google/q0001/a.jpg \u0663",
        "google/q0001/a.jpg\u00a03",
        "google/q0001/" + "a" * 600 + " 0",
        "google\\q0001\\a.jpg 0",
        "google/q/a.jpg 0",
        "google/q1234567/a.jpg 0",
        "google/q00a1/a.jpg 0",
        "google/qx/a.jpg 0",
        "flickr/q0001/a.jpg 0",
        "goog/e/q0001/a.jpg 0",
        "/google/q0001/a.jpg 0",
        "google/q0001/a.jpg\x000 0",
        "x",
    ],
)
@pytest.mark.parametrize("size", [1, 1000])
def test_a_wrong_line_is_named_in_any_piece(
    monkeypatch: pytest.MonkeyPatch, line: str, size: int
) -> None:
    monkeypatch.setattr(lists, "CHUNK_BYTES", size)
    content = PLAIN + line.encode() + b"\n" + PLAIN
    with pytest.raises(DataError, match=r"^list\.txt, line 4: "):
        parse(content)


def test_a_slash_too_many_and_one_too_few_do_not_cancel() -> None:
    with pytest.raises(DataError, match=r"^list\.txt, line 1: 'google/q1/a/b 0' is not like"):
        parse(b"google/q1/a/b 0\ngoogle/q1 0\n")


def test_an_empty_list_is_refused() -> None:
    for content in (b"", b"\n\n", b"  \n"):
        with pytest.raises(DataError, match=r"^list\.txt is empty"):
            parse(content)
        with pytest.raises(DataError, match=r"^list\.txt is empty"):
            parse_lines(PATH, content, rb"(\S+) (\d+)", "a 0")
        with pytest.raises(DataError, match=r"^list\.txt is empty"):
            split_lines(PATH, content)


def test_metadata_lists_end_in_json() -> None:
    lines = b"google/q0001.json 12\ngoogle/q1631.json 1\n"
    found = parse_listing(PATH, lines, "google/q", (1, 6), "google/q0001.json 12", ".json")
    files = [b"google/q0001.json", b"google/q1631.json"]
    assert as_lists(found) == (files, [1, 1631], [12, 1], [1, 2])
    for wrong in (b"google/q0001.jsom 1\n", b"q1 1\n", b"google/q0001/a.json 1\n"):
        with pytest.raises(DataError, match=r"^list\.txt, line 3: "):
            parse_listing(PATH, lines + wrong, "google/q", (1, 6), "google/q0001.json 12", ".json")


def test_any_two_columns_are_split() -> None:
    found = split_lines(PATH, b"a/b.jpg 3\n\nx\t4\n")
    assert as_lists(found) == ([b"a/b.jpg", b"x"], [-1, -1], [3, 4], [1, 3])
    with pytest.raises(DataError, match=r"^list\.txt, line 2: 'x' is not like 'name 0'"):
        split_lines(PATH, b"a 3\nx\n")
