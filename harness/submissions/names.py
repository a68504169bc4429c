"""The names that files of a submission may have, and how large each may be.

A submission is laid out as ``HOME/records``: ``records/ID.json`` beside a folder ``records/ID``.
No name from a submission is used as a path before it was found here.
"""

from __future__ import annotations

import re

from harness.errors import HarnessError
from harness.store.record_files import MAX_RECORD_BYTES
from harness.terminal import visible

PLAN, ENVIRONMENT = "plan.json", "environment.json"
MOST_PREDICTIONS = 1 << 30  # bytes of one file; an image takes about 25
MOST_BESIDE = 16 << 20  # bytes of a plan or an environment
MOST_WHOLE = 4 << 30  # bytes of all files, unpacked
MOST_FILES = 20_000
LONGEST_SHOWN = 120

_ID = r"[A-Za-z0-9_][\w.-]{0,150}-seed[0-9]{1,19}-[0-9a-f]{16}"
_RECORD = re.compile(rf"records/({_ID})\.json", re.ASCII)
_PREDICTIONS = re.compile(rf"records/{_ID}/[A-Za-z0-9][\w.+-]{{0,150}}\.npz", re.ASCII)
_BESIDE = re.compile(rf"records/{_ID}/(?:plan|environment)\.json", re.ASCII)
_FOLDER = re.compile(rf"records/(?:{_ID}/)?", re.ASCII)


def id_of(name: str) -> str | None:
    """Return the id of the record that a file is by its name; None if it is another file.

    >>> id_of("records/baseline-seed0-0123456789abcdef.json")
    'baseline-seed0-0123456789abcdef'
    """
    found = _RECORD.fullmatch(name)
    return found[1] if found else None


def is_folder(name: str) -> bool:
    """Return whether a name that ends in "/" is that of a submission's folder."""
    return _FOLDER.fullmatch(name) is not None


def check_file(name: str, size: int) -> None:
    """Raise HarnessError if no submission has a file of this name, or none of this size in bytes.

    >>> check_file("records/../../etc", 1)
    Traceback (most recent call last):
    harness.errors.HarnessError: 'records/../../etc' is not the name of a file of a submission
    """
    kinds = (
        (_RECORD, MAX_RECORD_BYTES),
        (_PREDICTIONS, MOST_PREDICTIONS),
        (_BESIDE, MOST_BESIDE),
    )
    for pattern, most in kinds:
        if pattern.fullmatch(name):
            if size > most:
                raise HarnessError(f"{name} has {size} bytes, more than {most}")
            return
    shown = visible(repr(name), LONGEST_SHOWN)
    raise HarnessError(f"{shown} is not the name of a file of a submission")


def check_whole(sizes: list[int]) -> None:
    """Raise HarnessError if a submission has too many files, or too many bytes unpacked."""
    if len(sizes) > MOST_FILES:
        raise HarnessError(f"it has {len(sizes)} files, more than {MOST_FILES}")
    if sum(sizes) > MOST_WHOLE:
        raise HarnessError(f"it would take {sum(sizes)} bytes unpacked, more than {MOST_WHOLE}")
