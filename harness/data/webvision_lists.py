"""Reads the text lists of a WebVision info folder and says which line is wrong."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from harness.errors import DataError
from harness.samples import WebClass

LAYOUT = (
    "WebVision 1.0 is laid out as ROOT/info/*.txt (train_filelist_google.txt, synsets.txt, ...), "
    "ROOT/google/q0001/*.jpg, ROOT/flickr/q0001/*.jpg and ROOT/val_images_256/*.jpg; "
    "name that ROOT and unpack info.tar in it"
)
# The longest list of 1.0 has 2.4 million lines, about 90 MB.
MAX_LIST_BYTES = 2**31
_SHOWN = 80

# A plain file name: no folder, no space, and no dot at its end, which rules out ".." too.
NAME = r"[^/\\\s]+(?<!\.)"


def read_bytes(path: Path) -> bytes:
    """Return the list's bytes.

    Raises:
        DataError: The list is missing, unreadable or too large to be one.
    """
    try:
        size = path.stat().st_size
        if size > MAX_LIST_BYTES:
            raise DataError(f"{path} has {size} bytes: no WebVision list is that large")
        return path.read_bytes()
    except FileNotFoundError:
        raise DataError(f"{path} is missing: {LAYOUT}") from None
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}; {LAYOUT}") from error


def parse_lines(path: Path, content: bytes, line: str, example: str) -> list[tuple[str, ...]]:
    """Return what the groups of the pattern ``line`` (two at least) match on every line.

    Raises:
        DataError: There is no line, or one that is not like ``example``.
    """
    text = content.decode("utf-8", errors="replace").replace("\r\n", "\n").rstrip("\n")
    if not text.strip():
        raise DataError(f"{path} is empty; its lines should be like {example!r}")
    found: list[tuple[str, ...]] = re.findall(f"^{line}$", text, flags=re.MULTILINE)
    if len(found) != text.count("\n") + 1:
        raise DataError(_first_wrong(path, text, line, example))
    return found


def read_classes(root: Path) -> tuple[tuple[WebClass, ...], bytes]:
    """Return the classes of synsets.txt, whose line number is the label, and the list's bytes."""
    path = root / "info" / "synsets.txt"
    content = read_bytes(path)
    lines = parse_lines(path, content, r"(n\d{8})[ \t]+(\S.*)", "n01440764 tench, Tinca tinca")
    wnids = [wnid for wnid, _ in lines]
    glosses = _read_glosses(root, wnids)
    return tuple(WebClass(wnid, words.strip(), glosses[wnid]) for wnid, words in lines), content


def _read_glosses(root: Path, wnids: list[str]) -> dict[str, str]:
    """The glosses that the data set brings along, else WordNet's as timm has them."""
    path = root / "info" / "glosses.txt"
    if path.exists():
        lines = parse_lines(path, read_bytes(path), r"(n\d{8})[ \t]+(\S.*)", "n01440764 a fish")
        brought = {line[0]: line[1] for line in lines}
        return {wnid: brought.get(wnid, "") for wnid in wnids}
    from timm.data.imagenet_info import ImageNetInfo

    known: Any = ImageNetInfo("imagenet22k")
    names = set(known.label_names())
    return {
        wnid: known.label_name_to_description(wnid, detailed=True).partition(": ")[2]
        if wnid in names
        else ""
        for wnid in wnids
    }


def _first_wrong(path: Path, text: str, line: str, example: str) -> str:
    whole = re.compile(line)
    for number, content in enumerate(text.split("\n"), start=1):
        if not whole.fullmatch(content):
            shown = content if len(content) <= _SHOWN else content[:_SHOWN] + "..."
            leaves = content.startswith(("/", "\\")) or ".." in re.split(r"[/\\\s]", content)
            why = "points outside the data folder" if leaves else f"is not like {example!r}"
            return f"{path}, line {number}: {shown!r} {why}"
    return f"{path}: its lines should be like {example!r}"
