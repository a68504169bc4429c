"""Text from others, made safe to write where a person reads: terminals, tables, log files.

Names, tags, reasons and paths come from data sets, plugins and other people's records. An escape
code among them would move the cursor, hide a line or give a terminal orders, and a line break
would let a name pass for a line of ours.
"""

from __future__ import annotations

import sys
import unicodedata

# Control codes, direction marks, half characters, private and unassigned ones; line separators.
_HIDDEN = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}


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


def note(text: object) -> None:
    """Write one line to standard error, at once."""
    sys.stderr.write(f"{visible(text)}\n")
    sys.stderr.flush()


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
