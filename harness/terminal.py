"""Make foreign text safe to print: in terminals, tables and log files.

Names, tags, reasons and paths come from data sets, plugins and other people's records. An escape
code among them would move the cursor, hide a line or give a terminal orders, and a line break
would let a name pass for a line of ours.
"""

from __future__ import annotations

import sys
import unicodedata
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from functools import lru_cache
from typing import Any

# Control codes, direction marks, half characters, private and unassigned ones; line separators.
_HIDDEN = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}
_NUMBERS = frozenset({int, float, bool, type(None)})


def visible(text: object, longest: int | None = None) -> str:
    r"""Return ``text`` as one line, with what cannot be seen spelt out.

    Runs of white space become one blank. ``longest`` cuts the line to so many characters.

    >>> visible("a\x1b[2Jb\nc")
    'a\\x1b[2Jb c'
    """
    line = _spelt(" ".join(str(text).split()))
    return line if longest is None or len(line) <= longest else f"{line[: longest - 3]}..."


def page(text: str) -> str:
    """Return ``text`` with its lines and blanks, and everything else that cannot be seen spelt."""
    return "\n".join(map(_spelt, text.split("\n")))


def visible_in(value: Any) -> Any:
    """Return a value of mappings, lists and texts with each text as one visible line."""
    if isinstance(value, str):
        return _known(value)
    if isinstance(value, (list, tuple)):  # often of thousands of numbers
        return [part if type(part) in _NUMBERS else visible_in(part) for part in value]
    if isinstance(value, Mapping):
        return {visible_in(key): visible_in(part) for key, part in value.items()}
    return value


@lru_cache(maxsize=1 << 12)
def _known(text: str) -> str:
    """Return ``visible(text)``: of many values, most were met before."""
    return visible(text)


def note(text: object) -> None:
    """Write one line to standard error, at once and above a live line."""
    with _no_live_line():
        sys.stderr.write(f"{visible(text)}\n")
        sys.stderr.flush()


def _no_live_line() -> AbstractContextManager[None]:
    if "tqdm" not in sys.modules:  # without it, there is no live line
        return nullcontext()
    from tqdm import tqdm

    without: AbstractContextManager[None] = tqdm.external_write_mode(file=sys.stderr)
    return without


def _spelt(line: str) -> str:
    if line.isascii() and line.isprintable():
        return line
    return "".join(
        _code(character) if unicodedata.category(character) in _HIDDEN else character
        for character in line
    )


def _code(character: str) -> str:
    number = ord(character)
    if 0xDC80 <= number <= 0xDCFF:  # a byte of a file's name that is not UTF-8
        number -= 0xDC00
    return f"\\x{number:02x}" if number < 0x100 else f"\\u{number:04x}"
