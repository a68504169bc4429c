"""Copies lists and metadata when pictures are packed."""

from __future__ import annotations

import os
import tarfile
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import IO

from harness.data.tar.litter import is_litter
from harness.data.webvision.index.lists import Lists, put_file
from harness.data.webvision.lists.parse import MAX_LIST_BYTES
from harness.data.webvision.lists.texts import MAX_JSON_BYTES, metadata_folder
from harness.errors import DataError
from harness.store.files import atomic_write
from harness.store.reading import is_there, look_for, read_plain

METADATA = "metadata.tar"
FOLDERS = ("info", "truth")  # the lists; synthweb's true labels


def copy_lists(root: Path, output: Path, lists: Lists) -> None:
    """Copy the lists that were read, and the other files in their folder, byte for byte.

    Raises:
        DataError: One of them cannot be read.
    """
    files = [Path(name) for name in lists.digests if look_for(root / name)]
    for folder in FOLDERS:
        found = sorted((root / folder).iterdir()) if (root / folder).is_dir() else []
        files += [
            path.relative_to(root)
            for path in found
            if look_for(path) and not is_litter(os.fsencode(path.name))
        ]
    for file in dict.fromkeys(files):
        try:
            content = read_plain(root / file, MAX_LIST_BYTES)
        except OSError as error:
            raise DataError(f"{root / file} cannot be read: {error.strerror}") from error
        put_file(output / file, content)


def pack_metadata(root: Path, output: Path, lists: Lists) -> None:
    """Write the JSON files of all queries, if there are any, into one archive."""
    files = [
        (f"{source}/{path.name}", path)
        for source in lists.edition.source_names
        for path in sorted(metadata_folder(root, source).glob("q*.json"))
    ]
    if files and not is_there(output / METADATA):
        atomic_write(output / METADATA, partial(_write, files))


def _write(files: list[tuple[str, Path]], file: IO[bytes]) -> None:
    with tarfile.open(fileobj=file, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for name, path in files:
            content = read_plain(path, MAX_JSON_BYTES)
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, BytesIO(content))
