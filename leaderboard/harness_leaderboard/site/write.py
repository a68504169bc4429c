"""Write the files of a site into a folder of its own, and remove those of the site before."""

from __future__ import annotations

import json
import os
import re
import secrets
import time
from collections.abc import Callable, Collection
from pathlib import Path

from harness.errors import HarnessError
from harness.store.files import unwritable
from harness.store.leftovers import OLD_SECONDS
from harness.store.reading import read_plain
from harness_leaderboard.site.pages import MOST, Site

_LEFT, _SUFFIX = re.compile(r"\.[0-9a-f]{16}"), 17
LISTED = "site.json"  # the files of a site, so that the next one removes what is no longer there


def write_site(site: Site, folder: Path, tell: Callable[[str], object] = lambda _: None) -> int:
    """Write a site into ``folder`` and remove what an earlier one left there; return its bytes.

    A file that is there with the same content is not written again.

    Raises HarnessError if the folder holds anything that no site put there, or cannot be written.
    """
    before = _earlier(folder)
    names, size = [], 0
    pages = _Folder(folder, before)
    if not (folder / LISTED).exists():  # a killed command must find its own folder again
        pages.write(LISTED, b"[]")
    for name, content in site.files():
        names.append(name)
        size += len(content)
        pages.write(name, content)
    for name in sorted(before - set(names)):
        (folder / name).unlink(missing_ok=True)
    pages.write(LISTED, json.dumps(sorted(names), indent=0).encode())
    pages.sweep({*names, LISTED})
    tell(f"wrote {folder / 'index.html'}: {len(names):,} files, {size / 1e6:.1f} MB")
    return size


def _earlier(folder: Path) -> set[str]:
    """Return the files of the site that is there; refuse a folder of something else."""
    if not folder.exists() or (folder.is_dir() and not any(folder.iterdir())):
        return set()
    listed = folder / LISTED
    try:
        names = json.loads(read_plain(listed, MOST))
        places = {name: name.rpartition("/") for name in names}
        inside = {head + slash for head, slash, _ in places.values()}
        inside = {place for place in inside if _is_inside(folder, place)}
        return {
            name
            for name, (head, slash, last) in places.items()
            if head + slash in inside and last not in ("", ".", "..")
        }
    except (OSError, ValueError, TypeError, AttributeError) as error:
        raise HarnessError(
            f"--site {folder}: this is not the folder of a site (no {LISTED}); name a new or an "
            "empty folder"
        ) from error


def _is_inside(folder: Path, name: str) -> bool:
    return (folder / name).resolve().is_relative_to(folder.resolve())


class _Folder:
    """Writes the files of a site, each whole or not at all.

    Not through to the disk, as records are: a lost page is made again in a second.
    """

    def __init__(self, folder: Path, before: Collection[str]) -> None:
        self._folder, self._before = str(folder), before
        self._made: set[str] = set()
        self._suffix = f".{secrets.token_hex(8)}"

    def write(self, name: str, content: bytes) -> None:
        """Write a file, unless it is there with this content.

        Raises HarnessError if it cannot be written.
        """
        path = f"{self._folder}/{name}"  # texts: making Paths of 20,000 files takes two seconds
        parent = path.rpartition("/")[0]
        try:
            if name in self._before and _is_same(path, content):
                return
            if parent not in self._made:
                os.makedirs(parent, exist_ok=True)  # noqa: PTH103
                self._made.add(parent)
            with open(path + self._suffix, "wb", buffering=0) as file:  # noqa: PTH123
                file.write(content)
            os.replace(path + self._suffix, path)  # noqa: PTH105
        except OSError as error:
            raise HarnessError(unwritable(path, error)) from error

    def sweep(self, names: Collection[str]) -> None:
        """Remove what killed commands left half written of the files ``names``."""
        folder = Path(self._folder)
        for place in {name.rpartition("/")[0] for name in names}:
            for found in os.scandir(folder / place):
                page, suffix = found.name[:-_SUFFIX], found.name[-_SUFFIX:]
                inside = f"{place}/{page}" if place else page
                if _LEFT.fullmatch(suffix) and inside in names and _is_old(found):
                    Path(found.path).unlink(missing_ok=True)


def _is_old(found: os.DirEntry[str]) -> bool:
    """Whether a file is not one that another command writes just now."""
    try:
        return abs(time.time() - found.stat().st_mtime) > OLD_SECONDS
    except FileNotFoundError:
        return False


def _is_same(path: str, content: bytes) -> bool:
    try:
        with open(path, "rb") as file:  # noqa: PTH123
            return file.read() == content
    except FileNotFoundError:
        return False
