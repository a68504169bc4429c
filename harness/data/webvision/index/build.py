"""Builds the index of a data set whose pictures stay in their tar archives."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from harness.data.pictures.store import TarColumns
from harness.data.pictures.strings import Strings
from harness.data.tar.litter import is_litter
from harness.data.tar.walks import PIECE, Archive, Piece, forget_others, look, walk_pieces
from harness.data.webvision.index.changes import archives_in, digest_of
from harness.data.webvision.index.join import Join, Rule
from harness.data.webvision.index.lists import Lists, read_lists
from harness.data.webvision.index.open import COLUMNS, FOLDER, FORMAT, MARKER, TEXT_COLUMNS, Members
from harness.data.webvision.index.texts import Metadata, write_texts
from harness.errors import DataError, unknown
from harness.store.files import atomic_write, sync_folder, unwritable, write_text
from harness.store.leftovers import remove_unfinished
from harness.store.lock import LOCK, exclusive_lock

Progress = Callable[[str], object]
WALKS = "walks"
_NEW = "columns-new"


@dataclass(frozen=True, kw_only=True)
class SplitCounts:
    """How many of a split's entries were found, and the first that were not."""

    rows: int
    found: int
    first_missing: tuple[str, ...]
    texts: int | None  # rows with a text; None if there is no metadata
    text_problems: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class IndexResult(Members):
    """The result of indexing."""

    index: Path
    edition: str
    splits: dict[str, SplitCounts]
    tars: int
    repeated_entries: int  # lines whose picture another line also names


def build_index(
    root: Path,
    *,
    output: Path | None = None,
    only: Sequence[str] = (),
    texts: bool = True,
    progress: Progress = lambda _: None,
    piece: int = PIECE,
) -> IndexResult:
    """Index the tar archives in ``root`` without unpacking, and match them to the lists.

    The index is written to ``output``, by default a folder inside ``root``; ``only`` names the
    archives to index. Progress is saved every ``piece`` members; a stopped call resumes.

    Raises:
        DataError: There is no archive or no list, or one is damaged.
        HarnessError: The index cannot be written.
    """
    index = root / FOLDER if output is None else output
    tars = find_tars(root, only)
    with exclusive_lock(index / LOCK, "indexes the same archives"):
        remove_unfinished(index)
        lists = read_lists(root, index)
        join = Join(Strings.concatenate([listed.names for listed in lists.splits]))
        metadata = Metadata(root, lists.edition)
        skipped, count = _walk_all(tars, index, (join, metadata), progress, piece)
        members = Members(
            members=count,
            duplicates={tars[k].path.name: n for k, n in sorted(join.duplicates.items())},
            first_duplicate=join.first_duplicate.decode("utf-8", "replace"),
            unlisted={tars[k].path.name: n for k, n in sorted(join.unlisted.items())},
            first_unlisted=join.first_unlisted.decode("utf-8", "replace"),
            skipped={name: kinds for name, kinds in skipped.items() if kinds},
        )
        progress("writing the columns")
        described, counts, files = _write_columns(
            index, lists, join.columns(), metadata if texts else None, progress
        )
        about = {"lists": lists.stamps, "splits": described, "members": asdict(members)}
        _finish(index, root, tars, {"edition": lists.edition.name, **about, "files": files})
        forget_others(find_tars(root), index / WALKS)
    return IndexResult(
        index=index,
        edition=lists.edition.name,
        splits=counts,
        tars=len(tars),
        repeated_entries=sum(len(listed.label) for listed in lists.splits) - join.unique,
        **asdict(members),
    )


def find_tars(root: Path, only: Sequence[str] = ()) -> list[Archive]:
    """Return the archives in ``root`` except info.tar, sorted by name.

    Raises:
        DataError: There is none, or one named in ``only`` is missing.
    """
    if not root.is_dir():
        raise DataError(f"{root} is not a folder; name the one that holds WebVision's tar archives")
    there = {path.name: path for path in archives_in(root)}
    for name in only:
        if name not in there:
            raise DataError(unknown(f"archive in {root}", name, there))
    if not there:
        raise DataError(
            f"{root} holds no .tar archive; expected google_resized_256.tar and others of 1.0, or "
            "webvision_train_00.tar and others of 2.0"
        )
    if len(there) > np.iinfo(np.int16).max:
        raise DataError(f"{root} holds {len(there)} archives; at most 32,767 can be indexed")
    return [look(path) for name, path in there.items() if not only or name in only]


def _walk_all(
    tars: Sequence[Archive],
    index: Path,
    takers: tuple[Join, Metadata],
    progress: Progress,
    piece: int,
) -> tuple[dict[str, dict[str, int]], int]:
    """Walk all archives; return what was skipped, by archive, and the number of plain files."""
    skipped: dict[str, dict[str, int]] = {}
    total = 0
    for shard, tar in enumerate(tars):
        rules: dict[bytes, Rule] = {}
        say = partial(
            _say_walk, progress, f"archive {shard + 1} of {len(tars)}, {tar.path.name}", tar
        )
        for found in walk_pieces(tar, index / WALKS, say, piece=piece):
            _take(found, shard, tar, takers, rules)
            total += len(found.names)
            skipped[tar.path.name] = found.skipped
    return skipped, total


def _say_walk(progress: Progress, name: str, tar: Archive, members: int, position: int) -> None:
    progress(f"{name}: {members:,} members, {min(1.0, position / max(tar.size, 1)):.0%}")


def _take(
    found: Piece, shard: int, tar: Archive, takers: tuple[Join, Metadata], rules: dict[bytes, Rule]
) -> None:
    join, metadata = takers
    names = found.names.every()
    texts = [place for place, name in enumerate(names) if name.endswith(b".json")]
    offset, size = found.offset, found.size
    if texts:
        for place in texts:
            if is_litter(names[place]):
                continue
            metadata.add(tar.path, names[place], offset.item(place), size.item(place))
        kept = np.setdiff1d(np.arange(len(names)), texts, assume_unique=True)
        names, offset, size = [names[k] for k in kept.tolist()], offset[kept], size[kept]
    if names:
        join.add(shard, names, offset, size, rules)


def _write_columns(
    index: Path,
    lists: Lists,
    places: TarColumns,
    metadata: Metadata | None,
    progress: Progress,
) -> tuple[dict[str, Any], dict[str, SplitCounts], dict[str, tuple[int, str]]]:
    """Write all columns to a new folder; return splits, counts and files for index.json."""
    new = index / _NEW
    shutil.rmtree(new, ignore_errors=True)
    described: dict[str, Any] = {}
    counts: dict[str, SplitCounts] = {}
    first = 0
    for listed in lists.splits:
        rows = slice(first, first + len(listed.label))
        first = rows.stop
        folder = new / listed.split
        columns = {name: getattr(listed, name) for name in ("label", "source", "query", "rank")}
        columns |= {"shard": places.shard[rows], "offset": places.offset[rows]}
        columns |= {"length": places.length[rows]}
        columns |= {"name_start": listed.names.start, "name_length": listed.names.length}
        atomic_write(folder / "names.bin", listed.names.data.tofile)
        packed = None
        if metadata and listed.split == "train":
            say = partial(_say_texts, progress, len(listed.label))
            packed = write_texts(folder / "texts.bin", lists, listed, metadata, say)
        if packed:
            columns |= {"text_start": packed.start, "text_length": packed.length}
        for name, column in columns.items():
            progress(f"writing {listed.split}/{name}.npy")
            _save(folder / f"{name}.npy", column, (COLUMNS | TEXT_COLUMNS)[name])
        described[listed.split] = {
            "rows": len(listed.label),
            "source_names": listed.source_names,
            "texts": packed.sources if packed else (),
        }
        missing = np.flatnonzero(columns["shard"] < 0)
        counts[listed.split] = SplitCounts(
            rows=len(listed.label),
            found=len(listed.label) - len(missing),
            first_missing=tuple(
                listed.names[row].decode("utf-8", "replace") for row in missing[:3].tolist()
            ),
            texts=int(np.count_nonzero(packed.length)) if packed else None,
            text_problems=dict(packed.problems) if packed else {},
        )
    paths = sorted(path for path in new.rglob("*") if path.is_file())
    files = {
        path.relative_to(new).as_posix(): (path.stat().st_size, digest_of(path)) for path in paths
    }
    return described, counts, files


def _say_texts(progress: Progress, rows: int, done: int) -> None:
    progress(f"texts: {done:,} of {rows:,} rows")


def _save(path: Path, column: NDArray[Any], kind: type[np.generic]) -> None:
    array = np.ascontiguousarray(column, kind)

    def write(file: IO[bytes]) -> None:
        np.lib.format.write_array(file, array, allow_pickle=False)

    atomic_write(path, write)


def _finish(index: Path, root: Path, tars: Sequence[Archive], about: dict[str, Any]) -> None:
    """Rename the columns' folder to a name made from their content, then write index.json."""
    name = f"columns-{hashlib.sha256(json.dumps(about['files']).encode()).hexdigest()[:12]}"
    inside = index.resolve().parent == root.resolve()
    times = {file: (index / _NEW / file).stat().st_mtime_ns for file in about["files"]}
    about = {
        "format": FORMAT,
        "root": ".." if inside else str(root.resolve()),
        "tars": [(tar.path.name, tar.size, tar.mtime_ns) for tar in tars],
        "columns": name,
        "times": times,
        **about,
    }
    try:
        if (index / name).exists():
            shutil.rmtree(index / name)
        (index / _NEW).rename(index / name)
        sync_folder(index)
    except OSError as error:
        raise DataError(unwritable(index / name, error)) from error
    write_text(index / MARKER, json.dumps(about, indent=1) + "\n")
    for old in index.glob("columns-*"):
        if old.name != name:
            shutil.rmtree(old, ignore_errors=True)
