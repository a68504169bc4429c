"""Pictures as a folder or a table lists them, before any of them is read."""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from harness.errors import DataError, unknown
from harness.terminal import visible

SPLITS = ("train", "val", "test")
# Names that people give the splits, in lower case.
SPLIT_NAMES = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("val", "valid", "validation"), "val"),
    **dict.fromkeys(("test", "testing"), "test"),
}


@dataclass(frozen=True, kw_only=True)
class Listed:
    """N pictures of the user: their files, labels and what else is known about them.

    ``files`` are relative to ``root`` or absolute; ``split`` is "" throughout if the splits are to
    be drawn. ``clean`` is "" if a clean label is not known. ``lines`` are those of the table,
    from 1; None for a folder. ``passed_over`` counts files that are not pictures, by suffix.
    """

    path: Path
    root: Path
    files: Sequence[str]
    label: Sequence[str]
    split: Sequence[str]
    clean: Sequence[str] | None = None
    text: Sequence[str] | None = None
    weight: Sequence[float] | None = None
    lines: Sequence[int] | None = None
    passed_over: Mapping[str, int] = field(default_factory=Counter)

    def __len__(self) -> int:
        return len(self.files)

    def where(self, row: int) -> str:
        """Name a picture in a message: its file, after the line of the table that lists it."""
        line = f"{self.path}, line {self.lines[row]}: " if self.lines else ""
        return visible(f"{line}{self.root / self.files[row]}")

    @property
    def has_splits(self) -> bool:
        """Whether some pictures are set apart to be scored."""
        return any(split in ("val", "test") for split in self.split)


def as_label(text: str) -> str:
    """Return a label as it is compared: without blanks around it, accents composed.

    File systems differ in how they spell an accent.
    """
    return unicodedata.normalize("NFC", text.strip())


def class_names(listed: Listed) -> list[str]:
    """Return the classes of the training pictures in order: by number if all are numbers.

    Raises:
        DataError: There is no training picture, or only one class.
    """
    of_train = {
        label
        for label, split in zip(listed.label, listed.split, strict=True)
        if split in ("", "train")
    }
    names = sorted(of_train)
    if all(name.isascii() and name.isdecimal() for name in names):
        names.sort(key=int)
    if not names:
        raise DataError(f"{visible(listed.path)} has no training pictures")
    if len(names) == 1:
        raise DataError(
            f"{visible(listed.path)} has only one class, {visible(names[0])!r}; there must be at "
            "least two"
        )
    return names


def refuse_strangers(
    listed: Listed, names: Sequence[str], tested: Sequence[str], split: Sequence[str]
) -> None:
    """Raise DataError for a label ``tested`` of val or test that no training picture has."""
    known = set(names)
    for row, (label, part) in enumerate(zip(tested, split, strict=True)):
        if part in ("val", "test") and label not in known:
            what = f"{listed.where(row)}: {part} has a label that train does not have"
            raise DataError(f"{what}: {unknown('label', label, names, listing='of train')}")
