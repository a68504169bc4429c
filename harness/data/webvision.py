"""The one reader of WebVision 1.0's layout: lists and labels at once, texts when asked for."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from harness.data.webvision_lists import NAME, parse_lines, read_bytes, read_classes
from harness.data.webvision_texts import read_texts
from harness.errors import DataError, NoLabelsError, unknown
from harness.hookspecs import hookimpl
from harness.samples import Samples, WebClass

if TYPE_CHECKING:
    from harness.spec import RunSpec

Split = Literal["train", "val", "test"]

SPLITS: tuple[Split, ...] = ("train", "val", "test")
SOURCES = ("google", "flickr")
EDITION = "WebVision 1.0"
# Up to here every file is looked for, beyond it a spread of them.
ALL_FILES_UP_TO = 20_000


class _Columns(NamedTuple):
    """What the lists of one split say, and their bytes for the fingerprint."""

    files: NDArray[np.str_]
    label: NDArray[np.int32]
    source: NDArray[np.int8]
    query: NDArray[np.int32]
    rank: NDArray[np.int32]
    content: tuple[bytes, ...]


def read_split(
    root: Path,
    split: Split,
    *,
    sources: Sequence[str] = SOURCES,
    classes: range | None = None,
    edition: str = EDITION,
    allow_empty: bool = False,
) -> Samples:
    """Read one split of a data set in WebVision 1.0's layout.

    ``sources`` chooses and orders the training lists. ``classes`` keeps these labels, counted from
    the first of them. ``query`` is the number in the folder's name (from 1), ``rank`` the position
    in that query's part of the list; both are -1 in val and test. ``edition`` names what is read.
    **Source:** the layout is that of the public loaders and tools for WebVision 1.0.

    Raises:
        DataError: A list is missing, a line is malformed or its label out of range (list and line
            are named), the test labels are not there, or a class has no training sample and
            ``allow_empty`` is not set.
    """
    vocabulary, synsets = read_classes(root)
    kept = range(len(vocabulary)) if classes is None else classes
    if kept.step != 1 or not kept or not 0 <= kept.start < kept.stop <= len(vocabulary):
        raise DataError(
            f"classes {kept.start}-{kept.stop - 1} were asked for, {root} has "
            f"0-{len(vocabulary) - 1}"
        )
    if split == "train":
        columns = _read_train(root, sources, len(vocabulary))
    else:
        columns = _read_judged(root, split, len(vocabulary))
    rows = np.flatnonzero((columns.label >= kept.start) & (columns.label < kept.stop))
    label = columns.label[rows] - np.int32(kept.start)
    named = vocabulary[kept.start : kept.stop]
    if split == "train" and not allow_empty:
        _refuse_empty_classes(root, label, named, sources)
    texts = None
    if split == "train":
        lines = np.bincount(columns.source).tolist()
        texts = partial(read_texts, root, dict(zip(sources, lines, strict=True)), rows)
    selection = f"{edition}|{split}|{','.join(sources)}|{kept.start}-{kept.stop}"
    return Samples(
        split=split,
        root=root,
        files=columns.files[rows],
        label=label,
        source=columns.source[rows],
        query=columns.query[rows],
        rank=columns.rank[rows],
        weight=np.ones(len(rows), np.float32),
        subset=np.zeros(len(rows), np.int8),
        classes=named,
        source_names=tuple(sources) if split == "train" else SOURCES,
        fingerprint=_digest(selection.encode(), synsets, *columns.content),
        edition=edition,
        read_texts=texts,
    )


def missing_files(samples: Samples, *, sample_of: int = 2_000) -> list[str]:
    """Return the listed pictures that are not there, relative to the root.

    Looks for all of them up to ``ALL_FILES_UP_TO``, else for ``sample_of`` evenly spread ones.

    Raises:
        DataError: Over 1 % of them are missing; names the list and the first such line.
    """
    if len(samples) <= ALL_FILES_UP_TO:
        looked = samples.files.tolist()
    else:
        places = np.linspace(0, len(samples) - 1, sample_of).astype(np.int64)
        looked = samples.files[places].tolist()
    missing = [file for file in looked if not (samples.root / file).is_file()]
    if len(missing) * 100 > len(looked):
        raise DataError(
            f"{_list_line(samples, missing[0])}: {missing[0]} is not in {samples.root}; "
            f"{len(missing)} of {len(looked)} pictures looked for are missing: unpack the "
            "archives of pictures there"
        )
    return missing


def as_split(name: str) -> Split:
    """Return ``name`` where it is a split; DataError otherwise."""
    for split in SPLITS:
        if split == name:
            return split
    raise DataError(unknown("split", name, SPLITS))


def _list_line(samples: Samples, file: str) -> str:
    """Where ``file`` is listed: the list and the line, counted from 1."""
    source = file.split("/")[0]
    if samples.split == "train":
        path = samples.root / "info" / f"train_filelist_{source}.txt"
    else:
        path = samples.root / "info" / f"{samples.split}_filelist.txt"
        file = file.split("/")[1]
    for number, line in enumerate(read_bytes(path).decode("utf-8", "replace").split("\n"), 1):
        if line.split()[:1] == [file]:
            return f"{path}, line {number}"
    return str(path)


def _read_train(root: Path, sources: Sequence[str], num_classes: int) -> _Columns:
    for source in sources:
        if source not in SOURCES:
            raise DataError(unknown("source of WebVision", source, SOURCES))
    files: list[str] = []
    parts: list[tuple[NDArray[np.int32], NDArray[np.int8], NDArray[np.int32], NDArray[np.int32]]]
    parts = []
    contents: list[bytes] = []
    for number, source in enumerate(sources):
        path = root / "info" / f"train_filelist_{source}.txt"
        contents.append(read_bytes(path))
        line = rf"({source}/q(\d{{1,6}})/{NAME})[ \t]+(\d{{1,9}})[ \t]*"
        found = parse_lines(path, contents[-1], line, f"{source}/q0001/name.jpg 0")
        names, queries, labels = zip(*found, strict=True)
        files += names
        query = np.array(queries).astype(np.int32)
        parts.append(
            (
                _labels(path, labels, num_classes),
                np.full(len(found), number, np.int8),
                query,
                _ranks(query),
            )
        )
    label, origin, query, rank = (np.concatenate(column) for column in zip(*parts, strict=True))
    return _Columns(np.array(files), label, origin, query, rank, tuple(contents))


def _read_judged(root: Path, split: Split, num_classes: int) -> _Columns:
    """Val and test: a flat folder, one label each, no query."""
    path = root / "info" / f"{split}_filelist.txt"
    content = read_bytes(path)
    if split == "test":
        path, listed = root / "info" / "test_labels.txt", content
        if not path.exists():
            raise NoLabelsError(
                f"the labels of the test pictures of {root} are not public (there is no {path}); "
                "score val instead"
            )
        content = read_bytes(path)
    line = rf"({NAME})[ \t]+(\d{{1,9}})[ \t]*"
    found = parse_lines(path, content, line, f"{split}000001.jpg 17")
    names, labels = zip(*found, strict=True)
    if split == "test":
        asked = [line.split()[0] for line in listed.decode("utf-8", "replace").splitlines() if line]
        if asked != list(names):
            raise DataError(f"{path} and test_filelist.txt do not name the same pictures in order")
    nothing = np.full(len(names), -1, np.int32)
    return _Columns(
        np.array([f"{split}_images_256/{name}" for name in names]),
        _labels(path, labels, num_classes),
        np.zeros(len(names), np.int8),
        nothing,
        nothing,
        (content,),
    )


def _labels(path: Path, labels: Sequence[str], num_classes: int) -> NDArray[np.int32]:
    label = np.array(labels).astype(np.int32)
    wrong = np.flatnonzero(label >= num_classes)
    if len(wrong):
        raise DataError(
            f"{path}, line {wrong[0] + 1}: label {label[wrong[0]]} is out of range; synsets.txt "
            f"has {num_classes} classes, counted from 0"
        )
    return label


def _ranks(query: NDArray[np.int32]) -> NDArray[np.int32]:
    """Position of each line among the lines of its query, ``(N,)``, from 0."""
    order = np.argsort(query, kind="stable")
    _, first, counts = np.unique(query[order], return_index=True, return_counts=True)
    rank = np.empty(len(query), np.int32)
    rank[order] = np.arange(len(query)) - np.repeat(first, counts)
    return rank


def _refuse_empty_classes(
    root: Path, label: NDArray[np.int32], named: Sequence[WebClass], sources: Sequence[str]
) -> None:
    empty = np.flatnonzero(np.bincount(label, minlength=len(named)) == 0)
    if len(empty):
        first = named[empty[0]]
        raise DataError(
            f"{len(empty)} of {len(named)} classes of {root} have no training sample from "
            f"{' and '.join(sources)}, the first is {first.wnid} {first.lemmas}; choose other "
            "classes or sources"
        )


def _digest(*parts: bytes) -> str:
    digest = hashlib.sha256()
    for part in parts:
        digest.update(len(part).to_bytes(8, "little"))
        digest.update(part)
    return digest.hexdigest()


@dataclass(frozen=True, kw_only=True)
class WebVision1:
    """WebVision 1.0: ``--data webvision1:/data/webvision?classes=0-49&source=google``."""

    @hookimpl
    def load_samples(self, spec: RunSpec, split: str) -> Samples:
        """Read ``split``, "train", "val" or "test", and look whether its pictures are there."""
        if not spec.data or not spec.data.path:
            raise DataError(
                "--data webvision1 needs the folder, for example --data webvision1:/data/webvision"
            )
        sources, classes, words = _selection(spec.data.options)
        samples = read_split(
            Path(spec.data.path).expanduser(),
            as_split(split),
            sources=sources,
            classes=classes,
            edition=", ".join([EDITION, *words]),
        )
        missing_files(samples)
        return samples


def _selection(options: Mapping[str, str]) -> tuple[tuple[str, ...], range | None, list[str]]:
    """Sources, classes and the words for both, from the options of ``--data``."""
    for name in options:
        if name not in ("classes", "source"):
            raise DataError(unknown("option of --data webvision1", name, ["classes", "source"]))
    words: list[str] = []
    classes = None
    if "classes" in options:
        match = re.fullmatch(r"([0-9]{1,6})-([0-9]{1,6})", options["classes"])
        if not match or int(match[1]) > int(match[2]):
            raise DataError(
                f"--data webvision1: classes={options['classes']!r} is no range; try classes=0-49"
            )
        classes = range(int(match[1]), int(match[2]) + 1)
        words.append(f"classes {match[1]}-{match[2]}")
    sources: tuple[str, ...] = SOURCES
    if "source" in options:
        if options["source"] not in SOURCES:
            raise DataError(unknown("source of --data webvision1", options["source"], SOURCES))
        sources = (options["source"],)
        words.append(f"{sources[0]} only")
    return sources, classes, words
