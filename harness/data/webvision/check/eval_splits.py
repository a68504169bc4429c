"""Checks val and test: reads their lists, and finds what makes their scores wrong."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from harness.data.webvision.check.names import TrainList, are_among, hash_names
from harness.data.webvision.check.parts import Pass
from harness.data.webvision.check.pictures import EvalName, eval_root
from harness.data.webvision.check.report import EvalCount
from harness.data.webvision.lists.classes import Synsets
from harness.data.webvision.lists.columns import ListColumns, eval_list, read_eval, read_names
from harness.data.webvision.lists.parse import shown
from harness.data.webvision.lists.soundness import empty_classes
from harness.errors import NoLabelsError
from harness.samples import WebClass
from harness.store.reading import is_there


def check_eval_split(
    at: Pass, split: EvalName, synsets: Synsets, lists: Sequence[TrainList]
) -> tuple[ListColumns | None, EvalCount]:
    """Read and count a split; columns are None if its labels are not public.

    Raises:
        DataError: As for the reader of a run.
    """
    place = eval_root(at, split)
    path = eval_list(place, at.edition, split)
    size = len(synsets.wnids)
    try:
        columns = read_eval(place, at.edition, split, size)
    except NoLabelsError:
        entries = len(read_names(path, at.edition).line) if is_there(path) else 0
        at.findings.add("note", f"test is not scored, its labels are not public: {path}")
        return None, EvalCount(split=split, entries=entries, labelled=False, smallest=0, largest=0)
    kept = at.edition.kept or range(size)
    inside = columns.label[(columns.label >= kept.start) & (columns.label < kept.stop)]
    named = zip(synsets.wnids, synsets.words, strict=True)
    classes = [WebClass(wnid, words) for wnid, words in named][kept.start : kept.stop]
    with at.findings.noting():
        for text in empty_classes(columns.paths[0], split, inside - kept.start, classes):
            at.findings.add("warning", text)
    _compare_with_train(at, split, columns, lists)
    counts = np.bincount(inside - kept.start, minlength=len(classes))
    return columns, EvalCount(
        split=split,
        entries=int(counts.sum()),
        labelled=True,
        smallest=int(counts.min(initial=len(columns.label))),
        largest=int(counts.max(initial=0)),
    )


def _compare_with_train(
    at: Pass, split: EvalName, columns: ListColumns, lists: Sequence[TrainList]
) -> None:
    """Report pictures that have the name of a training picture."""
    names = hash_names(columns.files, only_base=True)
    for found in lists:
        rows = np.flatnonzero(are_among(names, found.names))
        if len(rows):
            row = int(rows[0])
            train_row = int(np.flatnonzero(found.names == names[row])[0])
            base = columns.files[row].rpartition(b"/")[2]
            at.findings.add(
                "warning",
                f"{len(rows)} pictures of {split} are named like a training picture of "
                f"{found.source}, perhaps they are the same; the first is {shown(base)}: "
                f"{columns.paths[0]}, line {columns.line[row]}, and {found.where(train_row)}",
            )
