"""A split that is drawn if the user has given none."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Sequence

TEST_SHARE = 0.2  # of a class
VAL_SHARE = 0.1


def draw_splits(digest: Sequence[str], label: Sequence[str], seed: int) -> list[str]:
    """Return "train", "val" or "test" for each of N pictures.

    A fifth of every class is for test and a tenth for val; at least one picture each if the class
    has three, only test if it has two, and none of a single one. What a picture is for follows
    from its content and ``seed`` alone, so equal files, whatever their names and labels, are on
    one side, and a copy of the data on another machine is split in the same way.
    """
    by_class: dict[str, set[str]] = defaultdict(set)
    home: dict[str, str] = {}
    for content, name in sorted(zip(digest, label, strict=True)):
        by_class[home.setdefault(content, name)].add(content)
    side: dict[str, str] = {}
    for contents in by_class.values():
        mixed = sorted(contents, key=lambda content: _number(content, seed))
        test = max(len(mixed) > 1, round(TEST_SHARE * len(mixed)))
        val = max(len(mixed) > 2, round(VAL_SHARE * len(mixed)))
        side |= dict.fromkeys(mixed, "train")
        side |= dict.fromkeys(mixed[: test + val], "val")
        side |= dict.fromkeys(mixed[:test], "test")
    trained = {
        name for content, name in zip(digest, label, strict=True) if side[content] == "train"
    }
    for content, name in sorted(zip(digest, label, strict=True)):
        if name not in trained:  # all its pictures are also of another class, and were drawn there
            side[content] = "train"
            trained.add(name)
    return [side[content] for content in digest]


def _number(content: str, seed: int) -> str:
    return hashlib.sha256(f"{seed} {content}".encode()).hexdigest()
