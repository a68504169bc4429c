"""Seals: what is read is what was written, or it is named as damaged."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from itertools import count
from pathlib import Path
from typing import Any

from harness.errors import HarnessError
from harness.files import unwritable

_HEAD, _END = b'{\n "digest": "', b'",\n'
_HEX = 64  # characters of a sha256


class DamagedError(HarnessError):
    """A file is not what was written: altered, cut short, of another place, or gone."""


def sealed(content: Mapping[str, Any]) -> str:
    """Return canonical JSON that holds its own digest.

    Keys are sorted, except that ``digest`` comes first: the sha256 of the text without its line.
    Raises ValueError where a number is not finite.
    """
    text = json.dumps(content, indent=1, sort_keys=True, allow_nan=False)
    digest = hashlib.sha256(text.encode()).hexdigest()
    return f'{{\n "digest": "{digest}",{text[1:]}\n'


def unsealed(data: bytes) -> bytes:
    """Return what ``sealed`` was given, as JSON without the digest.

    Raises DamagedError where there is no digest, or any byte is not as it was written.
    """
    start = len(_HEAD) + _HEX
    if not (data.startswith(_HEAD) and data[start : start + len(_END)] == _END):
        raise DamagedError("it does not begin with its digest")
    body = b"{" + data[start + len(_END) - 1 : -1]
    if hashlib.sha256(body).hexdigest().encode() != data[len(_HEAD) : start] or data[-1:] != b"\n":
        raise DamagedError("its digest is not that of its content")
    return body


def set_aside(home: Path, name: str, paths: Iterable[Path]) -> Path | None:
    """Move what is damaged into ``HOME/damaged/NAME-N``; return that folder.

    None where another process was faster. Raises HarnessError where nothing can be moved.
    """
    there = [path for path in paths if path.exists()]
    folders = (home / "damaged" / f"{name}-{number}" for number in count(1))
    try:
        folder = next(folder for folder in folders if not folder.exists())
        folder.mkdir(parents=True)
        moved = [_moved(path, folder / path.name) for path in there]
    except OSError as error:
        raise HarnessError(unwritable(home / "damaged", error)) from error
    if not any(moved):
        folder.rmdir()
        return None
    return folder


def _moved(path: Path, to: Path) -> bool:
    try:
        path.rename(to)
    except FileNotFoundError:
        return False
    return True
