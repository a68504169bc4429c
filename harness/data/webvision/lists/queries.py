"""The search queries, and the class that each was made for."""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from harness.data.webvision.lists.editions import WEBVISION1, Base, Edition
from harness.data.webvision.lists.parse import ListTable, parse_lines, read_bytes
from harness.errors import DataError

MAP_NAME = "queries_synsets_map.txt"


class MapColumn(NamedTuple):
    """Whether a column counts from 0 or 1, and what shows it: its numbers or the edition."""

    base: Base
    told_by: str  # "min 0", "max 1631" or "the edition"


class QueryMap(NamedTuple):
    """Queries with their classes: ``queries`` count from 1 as in folder names, labels from 0."""

    queries: NDArray[np.int32]
    labels: NDArray[np.int32]
    query_column: MapColumn
    class_column: MapColumn

    def label_of(self, query: NDArray[np.int32]) -> NDArray[np.int32]:
        """Return the label of each query, ``(N,)``; -1 if the map does not have the query."""
        table = np.full(max(int(self.queries.max()), int(query.max(initial=0))) + 1, -1, np.int32)
        table[self.queries] = self.labels
        return table[query]


def read_queries(root: Path, edition: Edition = WEBVISION1) -> dict[str, dict[int, str]]:
    """Return the words of each query, by source and by the number in the folder's name, from 1.

    If an edition has one list for all sources, each source gets that list.

    Raises:
        DataError: A list is missing or malformed, counts from 0, or has a query twice.
    """
    lists: list[dict[int, str]] = []
    for name in edition.query_lists:
        path = root / "info" / name
        content = read_bytes(path, edition.layout)
        queries: dict[int, str] = {}
        found = parse_lines(path, content, rb"([0-9]{1,6})[ \t]+(.+)", "7 mule+deer")
        for row, number in enumerate(found.numbers(0).tolist()):
            if not number:
                raise DataError(
                    f"{found.where(row)}: query 0; queries count from 1, as the folders of their "
                    "pictures do (q0001), so all words would be wrong: unpack info.tar again"
                )
            if number in queries:
                raise DataError(
                    f"{found.where(row)}: query {number} is listed twice; unpack info.tar again"
                )
            words = found.columns[1][row].decode("utf-8", "replace")
            queries[number] = re.sub(r"[+\s]+", " ", words).strip()
        lists.append(queries)
    if len(lists) == 1:
        lists *= len(edition.sources)
    return dict(zip(edition.source_names, lists, strict=True))


def read_query_map(
    root: Path, num_classes: int, num_queries: int, edition: Edition = WEBVISION1
) -> QueryMap:
    """Read info/queries_synsets_map.txt; its two columns may count from 0 or 1.

    A column with a 0 counts from 0, one that reaches the number of classes or queries counts from
    1; if neither holds, the edition's default is used.

    Raises:
        DataError: The map is missing or malformed, a column contradicts itself or is out of range,
            or a query has two classes.
    """
    path = root / "info" / MAP_NAME
    content = read_bytes(path, edition.layout)
    found = parse_lines(path, content, rb"([0-9]{1,6})[ \t]+([0-9]{1,6})", "1 1")
    queries, classes = found.numbers(0), found.numbers(1)
    of_query = _column(found, "query", queries, num_queries, edition.query_base)
    of_class = _column(found, "synset", classes, num_classes, edition.class_base)
    queries, labels = queries - of_query.base + 1, classes - of_class.base
    order = np.argsort(queries, kind="stable")
    same = queries[order[1:]] == queries[order[:-1]]
    torn = np.flatnonzero(same & (labels[order[1:]] != labels[order[:-1]]))
    if len(torn):
        before, after = (int(order[torn[0] + step]) for step in (0, 1))
        raise DataError(
            f"{found.where(after)}: query {found.numbers(0)[after]} has synset {classes[after]} "
            f"here and {classes[before]} on line {found.line[before]}: unpack info.tar again"
        )
    return QueryMap(queries.astype(np.int32), labels.astype(np.int32), of_query, of_class)


def _column(
    found: ListTable, name: str, values: NDArray[np.int32], size: int, usual: Base
) -> MapColumn:
    lowest, highest = int(values.min()), int(values.max())
    where = found.where(int(values.argmax()))
    if highest > size:
        raise DataError(f"{where}: {name} {highest} is out of range; there are {size} of them")
    if lowest == 0 and highest == size:
        raise DataError(
            f"{where}: {name} {highest} contradicts line {found.line[values.argmin()]}, "
            f"which counts from 0; there are {size} of them, so the column counts neither from 0 "
            "nor from 1: unpack info.tar again"
        )
    if lowest == 0:
        return MapColumn(0, "min 0")
    return MapColumn(1, f"max {size}") if highest == size else MapColumn(usual, "the edition")
