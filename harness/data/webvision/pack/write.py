"""Writes the pictures of a data set into standard tar archives, and indexes them."""

from __future__ import annotations

import json
import tarfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from functools import partial
from io import BytesIO
from itertools import islice
from pathlib import Path
from typing import IO, Any

from harness.data.pictures.store import FolderStore
from harness.data.tar.fields import BLOCK, round_up
from harness.data.webvision.index.build import IndexResult, Progress, build_index
from harness.data.webvision.index.join import Join
from harness.data.webvision.index.lists import read_lists
from harness.data.webvision.index.open import MAX_JSON_BYTES
from harness.data.webvision.pack.lists import copy_lists, pack_metadata
from harness.data.webvision.pack.pictures import PackedPicture, Packing, make
from harness.errors import DataError
from harness.store.files import atomic_write, write_text
from harness.store.leftovers import remove_unfinished
from harness.store.lock import LOCK, exclusive_lock
from harness.store.reading import look_for, read_plain

MARKER = "pack.json"
FORMAT = 1
_AHEAD = 32  # pictures per thread that are converted ahead


@dataclass(frozen=True, kw_only=True)
class PackResult:
    """The result of packing; ``broken`` are the pictures left out, each with the reason."""

    built: IndexResult
    archives: int
    pictures: int
    bytes: int
    broken: tuple[str, ...]


def pack(
    root: Path,
    output: Path,
    packing: Packing,
    *,
    skip_broken: bool = False,
    threads: int = 1,
    progress: Progress = lambda _: None,
) -> PackResult:
    """Write the pictures that the lists of ``root`` name into tar archives in ``output``.

    The same input gives the same bytes. Archives are written whole or not at all; after a stop the
    same call resumes after the last whole one. Lists and metadata are copied, and the result is
    indexed.

    Raises:
        DataError: A list is malformed, ``output`` holds something else, or a picture cannot be read
            and ``skip_broken`` is not set; the picture is named.
        HarnessError: The disk is full, or the folder cannot be written.
    """
    if output.resolve() == root.resolve():
        raise DataError(f"{output} is the data set itself; name another folder for the archives")
    with exclusive_lock(output / LOCK, "packs into the same folder"):
        remove_unfinished(output)
        begun = _read_marker(output)
        lists = read_lists(root, output)
        packer = _Packer(output, packing, lists.digests, begun, progress)
        copy_lists(root, output, lists)
        pack_metadata(root, output, lists)
        for listed in lists.splits:
            store = FolderStore(root, listed.names)
            rows = Join(listed.names).first_rows.tolist()
            packer.pack_split(listed.split, store, rows, skip_broken=skip_broken, threads=threads)
        built = build_index(output, progress=progress)
    return PackResult(
        built=built,
        archives=len(packer.shards),
        pictures=sum(shard["pictures"] for shard in packer.shards),
        bytes=sum(shard["bytes"] for shard in packer.shards),
        broken=tuple(problem for shard in packer.shards for problem in shard["broken"]),
    )


class _Packer:
    """Writes archives in order; ``shards`` are the entries of pack.json for the whole ones."""

    def __init__(
        self,
        output: Path,
        packing: Packing,
        lists: dict[str, str],
        begun: dict[str, Any],
        progress: Progress,
    ) -> None:
        self.shards: list[dict[str, Any]] = begun.get("shards", [])
        self._output, self._packing, self._progress = output, packing, progress
        self._asked = {"format": FORMAT, "packing": asdict(packing), "lists": lists}
        for what, now in (("packing", asdict(packing)), ("lists", lists)):
            before = begun.get(what, now)
            other = [key for key in {**before, **now} if before.get(key) != now.get(key)]
            if other:
                raise DataError(
                    f"{output} was started with other {what} ({', '.join(other)}); name another "
                    "folder, or remove that one"
                )
        self._save()

    def pack_split(
        self, split: str, store: FolderStore, rows: list[int], *, skip_broken: bool, threads: int
    ) -> None:
        """Write the missing archives of one split; ``rows`` is the order of the pictures."""
        whole = self._whole(split)
        first = whole[-1]["stop"] if whole else 0
        number = len(whole)
        made = self._make_all(store, rows[first:], threads)
        held: list[PackedPicture] = []
        while first < len(rows):
            name = f"{split}-{number:05d}.tar"
            shard: dict[str, Any] = {
                "split": split,
                "name": name,
                "pictures": 0,
                "stop": first,
                "broken": [],
            }
            fill = partial(self._fill, made, held, shard, skip_broken)
            path = self._output / name
            atomic_write(path, fill)
            shard["bytes"] = path.stat().st_size
            self.shards.append(shard)
            self._save()
            first, number = shard["stop"], number + 1

    def _fill(
        self,
        made: Iterator[PackedPicture],
        held: list[PackedPicture],
        shard: dict[str, Any],
        skip_broken: bool,  # noqa: FBT001 - bound by name of a partial
        file: IO[bytes],
    ) -> None:
        """Fill one archive; the first picture that does not fit goes to ``held``."""
        used = tarfile.RECORDSIZE
        with tarfile.open(fileobj=file, mode="w", format=tarfile.PAX_FORMAT) as archive:
            while picture := held.pop() if held else next(made, None):
                used += BLOCK + round_up(len(picture.data))
                if used > self._packing.shard_bytes and shard["pictures"]:
                    held.append(picture)
                    return
                shard["stop"] += 1
                if picture.problem and not skip_broken:
                    raise DataError(
                        f"{picture.problem}; replace it, or leave such pictures out with "
                        "--skip-broken"
                    )
                if picture.problem:
                    shard["broken"].append(picture.problem)
                    continue
                member = tarfile.TarInfo(picture.name)
                member.size = len(picture.data)
                archive.addfile(member, BytesIO(picture.data))
                shard["pictures"] += 1
                self._progress(f"{shard['name']}: {shard['pictures']:,} pictures, {used >> 20} MiB")

    def _make_all(
        self, store: FolderStore, rows: list[int], threads: int
    ) -> Iterator[PackedPicture]:
        """Yield the pictures in order; threads convert a few ahead."""
        waiting = iter(rows)
        with ThreadPoolExecutor(threads, thread_name_prefix="pack") as pool:
            while part := list(islice(waiting, _AHEAD * threads)):
                yield from pool.map(partial(make, store, self._packing), part)

    def _whole(self, split: str) -> list[dict[str, Any]]:
        """The archives of ``split`` up to the first that is missing or has another size."""
        mine = [shard for shard in self.shards if shard["split"] == split]
        for number, shard in enumerate(mine):
            path = self._output / shard["name"]
            if not look_for(path) or path.stat().st_size != shard["bytes"]:
                self.shards = [kept for kept in self.shards if kept not in mine[number:]]
                return mine[:number]
        return mine

    def _save(self) -> None:
        about = {**self._asked, "shards": self.shards}
        write_text(self._output / MARKER, json.dumps(about, indent=1) + "\n")


def _read_marker(output: Path) -> dict[str, Any]:
    """The content of an earlier call's pack.json; empty if the folder is new.

    Raises:
        DataError: The folder holds something else.
    """
    path = output / MARKER
    try:
        begun = json.loads(read_plain(path, MAX_JSON_BYTES))
        dict(begun["packing"]), dict(begun["lists"])
        for shard in begun["shards"]:
            int(shard["stop"]), int(shard["bytes"]), int(shard["pictures"]), list(shard["broken"])
            if Path(shard["name"]).name != shard["name"] or "split" not in shard:
                raise ValueError
    except FileNotFoundError:
        if any(found.name != LOCK for found in output.iterdir()):
            raise DataError(
                f"{output} is not empty and not from an earlier packing; name another folder"
            ) from None
        return {}
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise DataError(f"{path} cannot be read ({error}); remove the folder {output}") from error
    result: dict[str, Any] = begun
    return result
