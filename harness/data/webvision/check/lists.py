"""Checks the training lists of an edition: finds lines that disagree between lists."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from harness.data.webvision.check.names import (
    PREPARED,
    TrainList,
    are_among,
    hash_names,
    mix_labels,
    overwritten_rows,
)
from harness.data.webvision.check.report import ClassCount, Findings, IndexBases
from harness.data.webvision.lists.classes import Synsets
from harness.data.webvision.lists.columns import parse_train_list, read_train, train_list
from harness.data.webvision.lists.editions import Edition
from harness.data.webvision.lists.parse import Listing, read_bytes, split_lines
from harness.data.webvision.lists.queries import MAP_NAME, read_queries, read_query_map
from harness.data.webvision.lists.texts import meta_list
from harness.store.reading import is_there


class Disagreements(dict[str, int]):
    """Number of lines that disagree between two lists, by kind of disagreement."""

    def __init__(self, findings: Findings) -> None:
        super().__init__()
        self.findings = findings

    def note(self, kind: str, lines: int, first: str) -> None:
        """Count ``lines`` lines; ``first`` describes the first of them."""
        self[kind] = self.get(kind, 0) + lines
        plural = "s disagree" if lines > 1 else " disagrees"
        self.findings.add("warning", f"{lines} line{plural} between lists; the first: {first}")


def read_list(root: Path, edition: Edition, source: str, synsets: Synsets) -> TrainList:
    """Read the part of one source's list that an edition keeps.

    Raises:
        DataError: As for ``read_split``.
    """
    columns = read_train(root, edition, [source], synsets.wnids)
    path = train_list(root, source)
    kept = edition.kept or range(len(synsets.wnids))
    rows = np.flatnonzero((columns.label >= kept.start) & (columns.label < kept.stop))
    files = columns.files[rows]
    return TrainList(
        source=source,
        path=path if is_there(path) else root / "meta" / PREPARED,
        files=files,
        label=columns.label[rows],
        query=columns.query[rows],
        rank=columns.rank[rows],
        rows=rows,
        lines=columns.line[rows],
        entries=len(columns.label),
        content=columns.content[0],
        listed=hash_names(files),
        names=hash_names(files, only_base=True),
    )


def count_classes(
    lists: Sequence[TrainList], synsets: Synsets, edition: Edition
) -> tuple[ClassCount, ...]:
    """Count the training entries of every class."""
    size = len(synsets.wnids)
    by_source = {found.source: np.bincount(found.label, minlength=size) for found in lists}
    label = np.concatenate([found.label for found in lists])
    files = np.bincount(label[~overwritten_rows(lists)], minlength=size)
    return tuple(
        ClassCount(
            wnid=synsets.wnids[k],
            words=synsets.words[k],
            entries={source: int(counts[k]) for source, counts in by_source.items()},
            total=sum(int(counts[k]) for counts in by_source.values()),
            files=int(files[k]),
        )
        for k in range(min(size, edition.kept.stop) if edition.kept else size)
    )


def compare_with_all(
    root: Path, edition: Edition, lists: Sequence[TrainList], torn: Disagreements
) -> None:
    """Compare the list of all training pictures with the lists of the sources.

    Raises:
        DataError: A line of it is malformed.
    """
    path = train_list(root, "all")
    if not is_there(path):
        return
    content = read_bytes(path)
    if content.rstrip() == b"\n".join(found.content.rstrip() for found in lists):
        return
    every = split_lines(path, content)
    label, listed = every.label, hash_names(every.files)
    own = [hash_names(_as_listed(found, edition)) for found in lists]
    pairs = mix_labels(np.concatenate(own), np.concatenate([found.label for found in lists]))
    known = are_among(listed, np.concatenate(own))
    rows = np.flatnonzero(~known)
    if len(rows):
        first = f"{path}, line {every.line[rows[0]]}: no source's list has this picture"
        torn.note("filelist_all_only", len(rows), first)
    rows = np.flatnonzero(known & ~are_among(mix_labels(listed, label), pairs))
    if len(rows):
        where = f"{path}, line {every.line[rows[0]]}"
        first = f"{where}: label {label[rows[0]]}, but the source's list has another"
        torn.note("filelist_all_other_label", len(rows), first)
    for found, paths in zip(lists, own, strict=True):
        rows = np.flatnonzero(~are_among(paths, listed))
        if len(rows):
            first = f"{found.where(int(rows[0]))}: {path.name} has no such picture"
            torn.note("filelist_all_lacks", len(rows), first)


def compare_meta(
    root: Path, lists: Sequence[TrainList], places: Sequence[Listing], torn: Disagreements
) -> None:
    """Compare each metadata list with its pictures' queries, and with the list of all.

    Raises:
        DataError: A line of the list of all is malformed.
    """
    for found, listing in zip(lists, places, strict=True):
        rows = np.flatnonzero((listing.number != found.query) & (found.query > 0))
        if len(rows):
            first = (
                f"{meta_list(root, found.source)}, line {listing.line[rows[0]]}: query "
                f"{listing.number[rows[0]]}, the picture's is {found.query[rows[0]]}"
            )
            torn.note("meta_list_other_query", len(rows), first)
    path = meta_list(root, "all")
    if not is_there(path):
        return
    every = split_lines(path, read_bytes(path))
    there = mix_labels(hash_names(every.files), every.label)
    own = [mix_labels(hash_names(listing.files), listing.label) for listing in places]
    rows = np.flatnonzero(~are_among(there, np.concatenate(own)))
    if len(rows):
        where = f"{path}, line {every.line[rows[0]]}"
        first = f"{where}: no source's list has this file and position"
        torn.note("meta_list_all_only", len(rows), first)
    for found, listing, hashes in zip(lists, places, own, strict=True):
        rows = np.flatnonzero(~are_among(hashes, there))
        if len(rows):
            name = meta_list(root, found.source)
            first = f"{name}, line {listing.line[rows[0]]}: {path.name} has no such line"
            torn.note("meta_list_all_lacks", len(rows), first)


def compare_queries(
    root: Path,
    edition: Edition,
    lists: Sequence[TrainList],
    synsets: Synsets,
    torn: Disagreements,
) -> IndexBases:
    """Compare the labels in the lists with the labels of their queries.

    Raises:
        DataError: The map or a list of queries is missing, malformed or contradicts itself.
    """
    queries = read_queries(root, edition)
    last = max(number for words in queries.values() for number in words)
    table = read_query_map(root, len(synsets.wnids), last, edition)
    for found in lists:
        said = table.label_of(np.maximum(found.query, 0))
        rows = np.flatnonzero((said >= 0) & (said != found.label) & (found.query > 0))
        if len(rows):
            row = int(rows[0])
            first = (
                f"{found.where(row)}: label {found.label[row]}, but {MAP_NAME} gives query "
                f"{found.query[row]} to class {said[row]}"
            )
            torn.note("query_map_other_label", len(rows), first)
            _note_shift(found, said, torn)
        _note_unknown_queries(found, said, queries[found.source], torn)
    return IndexBases(
        query=table.query_column.base,
        query_told_by=table.query_column.told_by,
        synset=table.class_column.base,
        synset_told_by=table.class_column.told_by,
    )


def _note_shift(found: TrainList, said: NDArray[np.int32], torn: Disagreements) -> None:
    """Report labels that seem to count from another number, if a shift would fix most lines."""
    told = (said >= 0) & (found.query > 0)
    right = np.count_nonzero(said[told] == found.label[told])
    for step, which in ((1, "from one more"), (-1, "from one less")):
        shifted = np.count_nonzero(said[told] + step == found.label[told])
        if shifted > max(right, np.count_nonzero(told) // 2):
            torn.findings.add(
                "error",
                f"{found.path} counts its labels {which} than {MAP_NAME}: {shifted} of "
                f"{np.count_nonzero(told)} labels agree after a shift, {right} without",
            )


def _note_unknown_queries(
    found: TrainList, said: NDArray[np.int32], words: Mapping[int, str], torn: Disagreements
) -> None:
    """Report entries whose query is missing from the list of queries or from the map."""
    listed = np.isin(found.query, np.fromiter(words, np.int32, len(words)))
    for unknown, name, kind in (
        (~listed, f"the list of the queries of {found.source}", "query_without_words"),
        (said < 0, MAP_NAME, "query_not_in_map"),
    ):
        rows = np.flatnonzero(unknown & (found.query >= 0))
        if len(rows):
            first = f"{found.where(int(rows[0]))}: {name} has no query {found.query[rows[0]]}"
            torn.note(kind, len(rows), first)


def _as_listed(found: TrainList, edition: Edition) -> NDArray[np.bytes_]:
    """The paths as in the list; on disk preprocess.py may have changed them."""
    if not edition.rearranged:
        return found.files
    return parse_train_list(found.path, found.content, edition, found.source).files[found.rows]
