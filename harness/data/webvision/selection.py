"""The part of an edition that ``--data NAME:PATH?classes=...&source=...`` selects."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from harness.data.webvision.lists.classes import (
    format_class_numbers,
    parse_class_numbers,
    read_synsets,
    read_wnids,
    wnids_word,
)
from harness.data.webvision.lists.editions import Edition
from harness.errors import DataError, unknown

OPTIONS = ("classes", "wnids", "source", "ilsvrc")


@dataclass(frozen=True, kw_only=True)
class Selection:
    """Sources and labels to keep (None: all), the leaderboard's name, and ILSVRC-12's folder."""

    sources: tuple[str, ...]
    classes: tuple[int, ...] | None
    title: str
    ilsvrc: Path | None


def select(options: Mapping[str, str], edition: Edition, root: Path) -> Selection:
    """Read the options of ``--data``.

    ``classes=0-49,77`` keeps labels, in ascending order; ``wnids=FILE`` keeps the WordNet ids in a
    file, in its order; ``source=google`` keeps one source; ``ilsvrc=FOLDER`` names the validation
    pictures of ILSVRC-12.

    Raises:
        DataError: An option is unknown or malformed, or names what the edition does not have.
    """
    for name in options:
        if name not in OPTIONS:
            raise DataError(unknown(f"option of --data {edition.name}", name, OPTIONS))
    classes, word = _classes(options, edition, root)
    words = [edition.title, word] if word else [edition.title]
    sources = edition.source_names
    if "source" in options:
        if options["source"] not in sources:
            known = f"source of --data {edition.name}"
            raise DataError(unknown(known, options["source"], sources))
        if len(sources) > 1:
            words.append(f"{options['source']} only")
        sources = (options["source"],)
    ilsvrc = Path(options["ilsvrc"]).expanduser() if options.get("ilsvrc") else None
    return Selection(sources=sources, classes=classes, title=", ".join(words), ilsvrc=ilsvrc)


def _classes(
    options: Mapping[str, str], edition: Edition, root: Path
) -> tuple[tuple[int, ...] | None, str]:
    """The labels to keep, and their name on the leaderboard."""
    if "classes" in options and "wnids" in options:
        raise DataError(f"--data {edition.name}: give classes= or wnids=, not both")
    if "classes" in options:
        classes = parse_class_numbers(options["classes"])
        if classes is None:
            raise DataError(
                f"--data {edition.name}: classes={options['classes']!r} is not a range; "
                "try classes=0-49 or classes=0-49,77"
            )
        return classes, f"classes {format_class_numbers(classes)}"
    if "wnids" in options:
        path = Path(options["wnids"]).expanduser()
        wnids, labels = read_wnids(path, read_synsets(root, edition))
        return labels, wnids_word(wnids)
    return None, ""
