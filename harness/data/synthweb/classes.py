"""The vocabulary of synthweb: real WordNet 3.0 classes in groups of five that look alike."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from functools import cache
from pathlib import Path

GROUP_SIZE = 5


@dataclass(frozen=True, kw_only=True)
class DrawnClass:
    """One class of the vocabulary.

    ``group`` and ``member`` define how it is drawn, ``parent`` is the word that a searcher adds to
    its name, and ``other_sense`` is a second meaning of the name ("" if there is none), with the
    share of results that show it and the words in their texts.
    """

    group: int
    member: int
    parent: str
    wnid: str
    lemmas: str
    gloss: str
    other_sense: str
    other_share: float
    other_words: str

    @property
    def lemma(self) -> str:
        """The name used in searches."""
        return self.lemmas.split(", ")[0]


def vocabulary(groups: int, per_group: int) -> tuple[DrawnClass, ...]:
    """Return the first ``per_group`` classes of each of the first ``groups`` groups, in order."""
    return tuple(c for c in _all_classes() if c.group < groups and c.member < per_group)


@cache
def _all_classes() -> tuple[DrawnClass, ...]:
    """The table beside this file; its lemmas and glosses are WordNet's, see NOTICE."""
    table = Path(__file__).with_suffix(".tsv")
    with table.open(encoding="utf-8", newline="") as lines:
        rows = list(csv.DictReader(lines, delimiter="\t", quoting=csv.QUOTE_NONE))
    return tuple(
        DrawnClass(
            group=number // GROUP_SIZE,
            member=number % GROUP_SIZE,
            parent=row["group"],
            wnid=row["wnid"],
            lemmas=row["lemmas"],
            gloss=row["gloss"],
            other_sense=row["other_sense"],
            other_share=float(row["other_share"]),
            other_words=row["other_words"],
        )
        for number, row in enumerate(rows)
    )
