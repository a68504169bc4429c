"""Opens and verifies an index of tar archives.

An index is a folder. Its ``index.json``, written last, names the archives and the lists with size
and time, and every column file with its digest and time. The columns are memory-mapped: opening
takes milliseconds, and all workers and ranks share one copy in the page cache.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness.data.pictures.store import TarColumns, Tars, TarStore
from harness.data.pictures.strings import Strings
from harness.data.webvision.index.changes import are_stamps, digest_of, indexed_tars, refuse_changes
from harness.data.webvision.index.texts import text_at
from harness.data.webvision.lists.editions import EDITIONS
from harness.errors import DataError, unknown
from harness.samples import Text
from harness.store.reading import check_plain, look_for, patiently, read_plain

FOLDER = ".harness-index"
MARKER = "index.json"
FORMAT = 2
MAX_JSON_BYTES = 1 << 26
# Each is (N,). Names and texts are in .bin files; their columns hold start and length there.
COLUMNS: dict[str, type[np.generic]] = {
    "label": np.int32,
    "source": np.int8,
    "query": np.int32,
    "rank": np.int32,
    "shard": np.int16,
    "offset": np.int64,
    "length": np.int32,
    "name_start": np.int64,
    "name_length": np.int32,
}
TEXT_COLUMNS: dict[str, type[np.generic]] = {"text_start": np.int64, "text_length": np.int32}
_SIGNATURES = (b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"GIF87a", b"GIF89a", b"BM")
_SIGNATURE_BYTES = 16


@dataclass(frozen=True, kw_only=True)
class IndexedSplit:
    """The N rows of one split, in the lists' order; columns ``(N,)``, read-only, memory-mapped.

    The columns are those of ``Samples``; a label of -1 is not public. ``store`` reads the pictures
    and raises OSError for rows that are not in any archive. ``names`` are the paths of
    ``Samples.files`` as bytes. ``text_sources`` are the sources whose texts are in the index.
    """

    split: str
    edition: str
    label: NDArray[np.int32]
    source: NDArray[np.int8]
    query: NDArray[np.int32]
    rank: NDArray[np.int32]
    source_names: tuple[str, ...]
    names: Strings
    store: TarStore
    text_sources: tuple[str, ...]
    places: TarColumns
    packed_texts: Strings | None

    def __len__(self) -> int:
        return len(self.label)

    def text(self, row: int) -> Text:
        """Return title, description and tags of one row; empty if there are none."""
        return text_at(self.packed_texts, row) if self.packed_texts else Text()

    def texts(self, rows: NDArray[np.int64]) -> list[Text]:
        """Return the texts of some rows."""
        return [self.text(row) for row in rows.tolist()]


@dataclass(frozen=True, kw_only=True)
class Members:
    """The members of the archives; counts are by the archives' file names."""

    members: int
    duplicates: dict[str, int] = field(default_factory=dict)  # with the name of an earlier one
    first_duplicate: str = ""
    unlisted: dict[str, int] = field(default_factory=dict)  # that no list names
    first_unlisted: str = ""
    skipped: dict[str, dict[str, int]] = field(default_factory=dict)  # not plain files, by kind

    def oddities(self) -> list[str]:
        """Return one line for each oddity."""
        twice = ("members that occur twice, of which the last counts", self.first_duplicate)
        unlisted = ("members that no list names", self.first_unlisted)
        lines = []
        for counts, (what, first) in ((self.duplicates, twice), (self.unlisted, unlisted)):
            if counts:
                where = ", ".join(f"{count:,} in {name}" for name, count in counts.items())
                lines.append(f"{what}: {where}; the first is {first}")
        for name, kinds in self.skipped.items():
            kind = ", ".join(f"{count:,} {kind}" for kind, count in sorted(kinds.items()))
            lines.append(f"{name}: skipped {kind}")
        return lines


def index_folder(folder: Path) -> Path:
    """Return the index of ``folder``, which is a data set or the index itself."""
    return folder if look_for(folder / MARKER) else folder / FOLDER


def root_of(index: Path, about: dict[str, Any]) -> Path:
    """Return the folder of the archives: the index's parent unless it was written elsewhere."""
    return (index / str(about["root"])).resolve()


def open_index(folder: Path, split: str) -> IndexedSplit:
    """Open one split of the index in ``folder``, or in the data set's folder ``folder``.

    Raises:
        DataError: There is no complete index, no such split, or an archive, a list or a column is
            missing or has changed; the first is named, with the command to run.
    """
    index = index_folder(folder)
    about = read_marker(index)
    refuse_changes(root_of(index, about), index, about)
    _refuse_damage(index, about, split)
    return open_columns(index, about, split)


def _refuse_damage(index: Path, about: dict[str, Any], split: str) -> None:
    """Refuse column files of a split that are not as written: labels decide every score.

    Their content is compared if size or time is another than at writing, as after an edit or a
    copy that gave new times. Damage that leaves both is found by ``verify_index``.
    """
    for name, (size, digest) in about["files"].items():
        if not name.startswith(f"{split}/"):
            continue
        path = index / about["columns"] / name
        try:
            status = path.stat()
            same = status.st_size == size
            if same and status.st_mtime_ns != about.get("times", {}).get(name):
                same = digest_of(path) == digest
        except OSError as error:
            raise DataError(f"{path} cannot be read: {error.strerror}; {_AGAIN}") from error
        if not same:
            raise DataError(f"{path} is damaged: not what harness data index wrote; {_AGAIN}")


def open_columns(index: Path, about: dict[str, Any], split: str) -> IndexedSplit:
    """Open one split of the index that ``about`` describes, without looking for changes.

    Raises:
        DataError: There is no such split, or a column is damaged.
    """
    if split not in about["splits"]:
        raise DataError(unknown("split of the index", split, about["splits"]))
    described = about["splits"][split]
    rows = int(described["rows"])
    place = index / about["columns"] / split
    column = {name: _column(place / f"{name}.npy", COLUMNS[name], rows) for name in COLUMNS}
    names = Strings(_blob(place / "names.bin"), column["name_start"], column["name_length"])
    texts, text_sources = None, tuple(described["texts"])
    if text_sources:
        spans = [_column(place / f"{name}.npy", kind, rows) for name, kind in TEXT_COLUMNS.items()]
        texts = Strings(_blob(place / "texts.bin"), spans[0], spans[1])
    places = TarColumns(column["shard"], column["offset"], column["length"])
    return IndexedSplit(
        split=split,
        edition=about["edition"],
        label=column["label"],
        source=column["source"],
        query=column["query"],
        rank=column["rank"],
        source_names=tuple(described["source_names"]),
        names=names,
        store=TarStore(Tars(indexed_tars(root_of(index, about), about)), places, names),
        text_sources=text_sources,
        places=places,
        packed_texts=texts,
    )


def read_marker(index: Path) -> dict[str, Any]:
    """Return the content of ``index.json``.

    Raises:
        DataError: It is missing, or not what this version writes.
    """
    path = index / MARKER
    try:
        about = json.loads(read_plain(path, MAX_JSON_BYTES))
        good = about["format"] == FORMAT and set(about["splits"]) <= {"train", "val", "test"}
        good = good and bool(re.fullmatch(r"columns-[0-9a-f]{12}", about["columns"]))
        good = good and about["edition"] in EDITIONS and are_stamps(about["lists"])
        good = good and all(len(seal) == 2 for seal in about["files"].values())
        good = good and isinstance(about.get("times", {}), dict)
        Members(**about["members"])
    except FileNotFoundError:
        raise DataError(
            f"{index} holds no finished index: run harness data index on the data set's folder"
        ) from None
    except (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        raise DataError(f"{path} cannot be read ({error}); {_AGAIN}") from error
    if not good:
        raise DataError(f"{path} was written by another version; {_AGAIN}")
    result: dict[str, Any] = about
    return result


def verify_index(
    folder: Path, progress: Callable[[str], object], *, pictures: bool = False
) -> list[str]:
    """Compare every column with its digest and, if ``pictures``, check every picture's first bytes.

    Returns the problems of pictures; the first ten are named.

    Raises:
        DataError: A column file is damaged, or an archive or a list is missing or has changed.
    """
    index = index_folder(folder)
    about = read_marker(index)
    refuse_changes(root_of(index, about), index, about)
    for name, (size, digest) in about["files"].items():
        progress(f"comparing {name}")
        path = index / about["columns"] / name
        if not look_for(path) or path.stat().st_size != size or digest_of(path) != digest:
            raise DataError(f"{path} is damaged or missing; {_AGAIN}")
    problems: list[str] = []
    for split in about["splits"] if pictures else ():
        problems += _look_at_pictures(open_index(index, split), progress)
    return problems


def is_picture(start: bytes) -> bool:
    """Return whether the first 16 bytes of a file are those of a supported picture format."""
    return start.startswith(_SIGNATURES) or (start[:4] == b"RIFF" and start[8:12] == b"WEBP")


def _look_at_pictures(split: IndexedSplit, progress: Callable[[str], object]) -> list[str]:
    """Read the first bytes of every picture, in archive order."""
    shard, offset, _ = split.places
    order = np.lexsort((offset, shard))
    order = order[np.searchsorted(shard[order], 0) :]
    bad = 0
    problems: list[str] = []
    for number, row in enumerate(order.tolist()):
        if number % 10_000 == 0:
            progress(f"{split.split}: looked at {number:,} of {len(order):,} pictures")
        try:
            start = patiently(
                partial(split.store.start, row, _SIGNATURE_BYTES), partial(split.store.where, row)
            )
            good = is_picture(start)
        except OSError:
            good = False
        if not good:
            bad += 1
            if bad <= _NAMED:
                problems.append(f"{split.split}: {split.store.where(row)} is not a picture")
    if bad > _NAMED:
        problems.append(f"{split.split}: {bad - _NAMED} more are not pictures")
    return problems


def _column(path: Path, kind: type[np.generic], rows: int) -> NDArray[Any]:
    try:
        check_plain(path)
        mapped = patiently(lambda: np.load(path, mmap_mode="r", allow_pickle=False), path.__str__)
    except (OSError, ValueError, EOFError) as error:
        raise DataError(f"{path} is damaged or missing; {_AGAIN}") from error
    if mapped.shape != (rows,) or mapped.dtype != kind:
        raise DataError(f"{path} has {mapped.shape} {mapped.dtype}, not {rows} rows; {_AGAIN}")
    # A plain array over the same memory, because access through numpy's memmap class is slower.
    plain: NDArray[Any] = mapped.view(np.ndarray)
    return plain


def _blob(path: Path) -> NDArray[np.uint8]:
    try:
        check_plain(path)
        if not path.stat().st_size:
            return np.zeros(0, np.uint8)
        return patiently(lambda: np.memmap(path, np.uint8, mode="r"), path.__str__).view(np.ndarray)
    except (OSError, ValueError) as error:
        raise DataError(f"{path} is damaged or missing; {_AGAIN}") from error


_AGAIN = "run harness data index again"
_NAMED = 10
