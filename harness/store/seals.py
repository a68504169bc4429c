"""Digests that are stored with files, so that a damaged file is detected and named."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from pathlib import Path
from typing import Any, cast

from pydantic_core import to_json

from harness.errors import HarnessError
from harness.machine.cores import cores
from harness.store.files import unwritable, write_text
from harness.store.reading import open_plain, patiently, read_plain, read_range

_HEAD, _END = b'{\n "digest": "', b'",\n'
_HEX = 64  # characters of a sha256

BLOCK = 16 << 20  # bytes that one thread digests at a time
THREADS = 16  # more are not faster; fewer if there are fewer cores
MOST_MARKER = 64 << 20  # bytes
MOST_FILE = 1 << 50  # bytes: no practical bound


class DamagedError(HarnessError):
    """A file differs from what was written: altered, cut short, moved, or missing."""


def sealed(content: Mapping[str, Any]) -> str:
    """Return canonical JSON that holds its own digest.

    Keys are sorted, except that ``digest`` comes first: the sha256 of the text without its line.
    Raises ValueError if a number is not finite.
    """
    text = json.dumps(content, indent=1, sort_keys=True, allow_nan=False)
    digest = hashlib.sha256(text.encode()).hexdigest()
    return f'{{\n "digest": "{digest}",{text[1:]}\n'


def unsealed(data: bytes) -> bytes:
    """Return the content given to ``sealed``, as JSON without the digest.

    Raises DamagedError if there is no digest, or any byte was changed.
    """
    start = len(_HEAD) + _HEX
    if not (data.startswith(_HEAD) and data[start : start + len(_END)] == _END):
        raise DamagedError("it does not begin with its digest")
    body = b"{" + data[start + len(_END) - 1 : -1]
    if hashlib.sha256(body).hexdigest().encode() != data[len(_HEAD) : start] or data[-1:] != b"\n":
        raise DamagedError("its digest is not that of its content")
    return body


def sealed_record(content: Mapping[str, Any]) -> str:
    """Return a record as canonical JSON that holds two digests of itself.

    ``digest`` covers everything except the cost, so runs with equal results have equal digests;
    the cost's own ``digest`` covers the cost and that of the record. Raises ValueError if a number
    is not finite.
    """
    json.dumps(content, allow_nan=False)
    return _record_text(_with_digests(content)[0])


def unsealed_record(data: bytes) -> bytes:
    """Return the content given to ``sealed_record``, as JSON without the digests.

    Raises DamagedError if there is no digest, or any byte was changed.
    """
    if not data.startswith(_HEAD):
        raise DamagedError("it does not begin with its digest")
    try:
        found = json.loads(data)
        bare = {name: value for name, value in found.items() if name != "digest"}
        if "cost" in bare:
            bare["cost"] = {name: value for name, value in bare["cost"].items() if name != "digest"}
        whole, text = _with_digests(bare)
        same = whole == found and _is_canonical(data, found)
    except (ValueError, AttributeError, RecursionError):  # no JSON, or a cost that is a number
        same = False
    if not same:
        raise DamagedError("its digest is not that of its content")
    return text.encode()


def _with_digests(content: Mapping[str, Any]) -> tuple[dict[str, Any], str]:
    """Return a record's content with both digests, and without them as JSON of one line."""
    rest = {name: value for name, value in content.items() if name != "cost"}
    text = json.dumps(rest, sort_keys=True)
    digest = _sha256(text)
    if "cost" not in content:
        return {"digest": digest, **rest}, text
    cost = json.dumps(content["cost"], sort_keys=True)
    sealed_cost = {**content["cost"], "digest": _sha256(f'["{digest}", {cost}]')}
    return {"digest": digest, **rest, "cost": sealed_cost}, f'{text[:-1]}, "cost": {cost}}}'


def _record_text(whole: Mapping[str, Any]) -> str:
    """Return a record with its digests as canonical JSON, its own digest first."""
    rest = {name: value for name, value in whole.items() if name != "digest"}
    text = json.dumps(rest, indent=1, sort_keys=True)
    return f'{{\n "digest": "{whole["digest"]}",{text[1:]}\n'


def _is_canonical(data: bytes, whole: Mapping[str, Any]) -> bool:
    """Return whether ``data``, which was parsed to ``whole``, is its ``_record_text``.

    json indents in Python, ten times slower than ``to_json`` in Rust. So first ask whether
    ``to_json`` breaks the same lines, and json writes the same names and values in the same order:
    no line breaks inside of a text. What ``to_json`` spells in another way (0.00001 for 1e-05) is
    compared with ``_record_text`` itself.
    """
    try:
        lines_are_equal = to_json(whole, indent=1) + b"\n" == data
    except ValueError:  # half characters
        lines_are_equal = False
    if lines_are_equal:
        rest = {name: value for name, value in whole.items() if name != "digest"}
        text = json.dumps(rest, sort_keys=True, separators=(",", ": "))
        line = f'{{"digest": "{whole["digest"]}",{text[1:]}'
        if b"".join(map(bytes.lstrip, data.split(b"\n"))) == line.encode():
            return True
    return _record_text(whole).encode() == data


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def write_marker(path: Path, content: Mapping[str, Any], files: Iterable[str]) -> dict[str, Any]:
    """Write a sealed marker beside finished files; return its whole content.

    It holds ``content``, its own name and folder, and the size and digest of each file.
    """
    whole = {
        **content,
        "of": _place(path),
        "files": {name: file_seal(path.with_name(name)) for name in sorted(files)},
    }
    write_text(path, sealed(whole))
    return whole


def read_marker(path: Path) -> dict[str, Any] | None:
    """Return a marker's content, or None if there is no marker; its files are not checked.

    Raises DamagedError if it was changed, or was written for another folder.
    """
    try:
        data = read_plain(path, MOST_MARKER)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise DamagedError(f"{path} is damaged: {error.strerror}") from error
    try:
        content = json.loads(unsealed(data))
    except (DamagedError, ValueError, RecursionError) as error:
        raise DamagedError(f"{path} is damaged: {error}") from error
    if not isinstance(content.get("files"), dict) or content.get("of") != _place(path):
        raise DamagedError(
            f"{path} was copied or moved here: it was written as {content.get('of')}"
        )
    return cast("dict[str, Any]", content)


def check_marker(path: Path) -> dict[str, Any] | None:
    """Return a marker's content once its files are checked, or None if there is no marker.

    Raises DamagedError that names the first file that was changed.
    """
    content = read_marker(path)
    for name, seal in (content or {"files": {}})["files"].items():
        file = path.with_name(name)
        try:
            found = file_seal(file)
        except OSError as error:
            raise DamagedError(f"{file} is damaged: {error.strerror}") from error
        if found["size"] != seal["size"]:
            raise DamagedError(f"{file} is damaged: {found['size']} bytes, not {seal['size']}")
        if found != seal:
            raise DamagedError(f"{file} is damaged: its digest is not the one written with it")
    return content


def file_seal(path: Path) -> dict[str, Any]:
    """Return size and digest of a file: its sha256, or that of its blocks' if it has several.

    A process digests a file once, and again if it was changed. Raises OSError if it is missing or
    not a plain file, and HarnessError if it cannot be read for another reason.
    """

    def seal() -> dict[str, Any]:
        descriptor, size = open_plain(path, MOST_FILE)
        try:
            status = os.fstat(descriptor)
            stamp = (str(path), status.st_ino, size, status.st_mtime_ns, status.st_ctime_ns)
            if stamp not in _DIGESTS:
                _DIGESTS[stamp] = _digest(descriptor, size, str(path))
            return {"size": size, "digest": _DIGESTS[stamp]}
        finally:
            os.close(descriptor)

    return patiently(seal, path.__str__)


_DIGESTS: dict[tuple[str, int, int, int, int], str] = {}


def _digest(descriptor: int, size: int, name: str) -> str:
    def of(start: int) -> bytes:
        data = read_range(descriptor, min(BLOCK, size - start), start, name)
        return hashlib.sha256(data).digest()

    if size <= BLOCK:
        return of(0).hex()
    with ThreadPoolExecutor(min(THREADS, cores())) as threads:
        return hashlib.sha256(b"".join(threads.map(of, range(0, size, BLOCK)))).hexdigest()


def _place(path: Path) -> str:
    return f"{path.parent.name}/{path.name}"


def set_aside(home: Path, name: str, paths: Iterable[Path], under: str = "damaged") -> Path | None:
    """Move files into ``HOME/damaged/NAME-N``, or into another folder of HOME; return the new one.

    Returns None if another process was faster. Raises HarnessError if nothing can be moved.
    """
    there = [path for path in paths if path.exists()]
    folders = (home / under / f"{name}-{number}" for number in count(1))
    try:
        folder = next(folder for folder in folders if not folder.exists())
        folder.mkdir(parents=True)
        moved = [_moved(path, folder / path.name) for path in there]
    except OSError as error:
        raise HarnessError(unwritable(home / under, error)) from error
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
