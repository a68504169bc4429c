"""The texts beside a picture; most of them describe what it shows."""

from __future__ import annotations

import re
from typing import Any

import numpy as np

from harness.data.synthweb.classes import DrawnClass
from harness.data.synthweb.plan import Entry, Query

# Share of texts about what the picture shows rather than what was searched for.
AGREES = 0.75
OUTSIDE_WORDS = {
    "menu": "menu text page restaurant document",
    "portrait": "portrait face woman smile people",
    "chart": "chart statistics report presentation numbers",
    "house": "house street village holiday architecture",
    "flowers": "flowers garden bouquet spring bloom",
}
CHATTER = ("photo", "2016", "beautiful", "wallpaper", "free", "download", "picture", "collection")
_SHORT = re.compile(r"[a-z]{4,}")
_EMPTY_WORDS = frozenset({"with", "that", "from", "usually", "used", "other", "which", "when"})


def write_about(
    entry: Entry,
    classes: tuple[DrawnClass, ...],
    query: Query,
    rng: np.random.Generator,
) -> dict[str, Any]:
    """Return one object of a query's JSON file; every text contains the query's words."""
    searched = query.words.replace("+", " ")
    agrees = bool(rng.random() < AGREES)
    name, words = _subject(entry, classes, told=agrees)
    name = "" if name in searched else name
    some = [str(word) for word in rng.choice(words, size=min(4, len(words)), replace=False)]
    chat = [str(word) for word in rng.choice(CHATTER, size=2, replace=False)]
    about: dict[str, Any] = {"id": entry.name}
    if rng.random() < 0.05:
        return about
    title = " ".join([searched, *([f"- {name}"] if name else []), some[0], chat[0]])
    about["title"] = title if rng.random() < 0.95 else ""
    if rng.random() < (0.85 if entry.source == "google" else 0.6):
        about["description"] = f"{chat[1]} {' '.join(some)}: {searched} {name}".strip()
    if entry.source == "flickr" and rng.random() < 0.9:
        about["tags"] = [*searched.split(), *name.split(), *some] if rng.random() < 0.93 else []
    return about


def _subject(entry: Entry, classes: tuple[DrawnClass, ...], *, told: bool) -> tuple[str, list[str]]:
    """A name and some words: of the picture's content if ``told``, otherwise of the search."""
    shown = entry.label if not told and entry.truth >= 0 else entry.truth
    if shown >= 0:
        cls = classes[shown]
        return (cls.lemma if told else ""), gloss_words(cls.gloss)
    if not told:
        return "", gloss_words(classes[entry.label].gloss)
    if entry.kind == "second_sense":
        return "", classes[entry.label].other_words.split()
    return "", OUTSIDE_WORDS[str(entry.picture.thing)].split()


def gloss_words(gloss: str) -> list[str]:
    """Return the content words of a gloss, lower case, in order."""
    found = [word for word in _SHORT.findall(gloss.lower()) if word not in _EMPTY_WORDS]
    return list(dict.fromkeys(found)) or ["thing"]
