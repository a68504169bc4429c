"""Queries and their classes, whatever number the map's columns count from."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from harness.data.webvision.lists.editions import WEBVISION1, WEBVISION2
from harness.data.webvision.lists.queries import read_queries, read_query_map
from harness.errors import DataError

TREES = Path(__file__).parents[2] / "trees"


def write_map(root: Path, text: str) -> Path:
    (root / "info").mkdir(exist_ok=True)
    (root / "info" / "queries_synsets_map.txt").write_text(text)
    return root


def test_queries_have_words_in_each_edition() -> None:
    first = read_queries(TREES / "webvision1", WEBVISION1)
    assert first["google"] == first["flickr"] == {1: "tench", 2: "goldfish", 3: "jaguar panther"}
    second = read_queries(TREES / "webvision2", WEBVISION2)
    assert second["flickr"][2] == "panther animal"
    assert second["google"] == second["flickr"]


def test_the_bases_of_both_editions_are_found() -> None:
    first = read_query_map(TREES / "webvision1", 3, 3, WEBVISION1)
    assert first.labels.tolist() == [0, 1, 2]
    assert first.query_column == (1, "max 3")
    assert first.class_column == (1, "max 3")
    second = read_query_map(TREES / "webvision2", 4, 5, WEBVISION2)
    assert second.queries.tolist() == [1, 2, 3, 4, 5]
    assert second.labels.tolist() == [0, 0, 1, 2, 3]
    assert second.query_column == (1, "max 5")
    assert second.class_column == (0, "min 0")
    assert second.label_of(np.array([5, 2, 0, 99], np.int32)).tolist() == [3, 0, -1, -1]


def test_queries_may_count_from_zero(tmp_path: Path) -> None:
    table = read_query_map(write_map(tmp_path, "0 0\n1 1\n2 1\n"), 2, 3)
    assert table.queries.tolist() == [1, 2, 3]
    assert table.query_column == (0, "min 0")


def test_the_edition_decides_if_the_numbers_do_not(tmp_path: Path) -> None:
    write_map(tmp_path, "2 1\n3 2\n")
    assert read_query_map(tmp_path, 4, 5, WEBVISION1).labels.tolist() == [0, 1]
    second = read_query_map(tmp_path, 4, 5, WEBVISION2)
    assert second.labels.tolist() == [1, 2]
    assert second.class_column == (0, "the edition")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("1 0\n2 2\n", r"map\.txt, line 2: synset 2 contradicts line 1, which counts from 0"),
        ("0 1\n3 2\n", r"map\.txt, line 2: query 3 contradicts line 1, which counts from 0"),
        ("1 1\n2 7\n", r"map\.txt, line 2: synset 7 is out of range; there are 2 of them"),
        ("1 1\n9 2\n", r"map\.txt, line 2: query 9 is out of range; there are 3 of them"),
        ("1 1\n3 2\n1 2\n", r"map\.txt, line 3: query 1 has synset 2 here and 1 on line 1"),
        ("1 1\n2\n", r"map\.txt, line 2: '2' is not like '1 1'"),
        ("1 1\n2 x\n", r"map\.txt, line 2: '2 x' is not like '1 1'"),
        ("", r"map\.txt is empty"),
    ],
)
def test_a_map_that_contradicts_itself_is_refused(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(DataError, match=said):
        read_query_map(write_map(tmp_path, text), 2, 3)


def test_a_missing_map_is_named_with_the_layout(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"map\.txt is missing: WebVision 2\.0 is laid out as"):
        read_query_map(tmp_path, 2, 3, WEBVISION2)


def test_a_query_listed_twice_is_named(tmp_path: Path) -> None:
    shutil.copytree(TREES / "webvision2", tmp_path, dirs_exist_ok=True)
    path = tmp_path / "info" / "queries.txt"
    path.write_text("1 jaguar\n1 panther\n")
    with pytest.raises(DataError, match=r"queries\.txt, line 2: query 1 is listed twice"):
        read_queries(tmp_path, WEBVISION2)
    path.write_text("jaguar\n")
    with pytest.raises(DataError, match=r"queries\.txt, line 1: 'jaguar' is not like '7 mule\+de"):
        read_queries(tmp_path, WEBVISION2)
