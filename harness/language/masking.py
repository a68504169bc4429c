"""Removes the words of the query from a text: they do not tell which sense was meant.

Every text around an image contains the words of its query, even if the image shows something
else: both "2016 Toyota Corolla Ascent Auto" and a poem about flowers were found by "corolla". With
these words any text resembles the gloss of the class. So they are removed from the text, and the
lemmas of the class are removed from the gloss.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from functools import cache

from harness.samples import Samples, Text, WebClass

_WORD = re.compile(r"\w+")
_HISSING = ("sses", "xes", "zes", "ches", "shes")


def words_of(text: str) -> list[str]:
    """Return the words of a text in order, each as ``singular`` has it."""
    return [singular(word) for word in _WORD.findall(text)]


def singular(word: str) -> str:
    """Return a word in lower case and without the ending of an English plural.

    It uses spelling only, so its results are for comparing words: "Foxes" is fox, "berries" berry,
    "bus" and "grass" stay, "lens" is len.
    """
    word = word.casefold()
    if len(word) > 4 and word.endswith("ies"):
        return f"{word[:-3]}y"
    if word.endswith(_HISSING):
        return word[:-2]
    if len(word) > 3 and word.endswith("s") and not word.endswith(("ss", "us", "is")):
        return word[:-1]
    return word


def query_words(terms: str) -> frozenset[str]:
    """Return the words of a query, or of lemmas joined by ", ".

    They are the words of each term and, for a term of several words, the words written as one, as
    in tags: "billiard ball" gives billiard, ball and billiardball.
    """
    found: set[str] = set()
    for term in terms.split(","):
        words = _WORD.findall(term)
        found |= {singular(word) for word in (*words, "".join(words)) if word}
    return frozenset(found)


def mask(text: str, masked: Collection[str]) -> str:
    """Return the text without the words of ``masked``, plurals included.

    Isolated punctuation is removed, too, so that a text of masked words only becomes "".
    """
    kept = _WORD.sub(lambda found: "" if singular(found[0]) in masked else found[0], text)
    return " ".join(part for part in kept.split() if _WORD.search(part))


def masked_texts(samples: Samples) -> list[str]:
    """Return the text of every sample without the words of its query and of its label's lemmas.

    It is "" if nothing else is left.
    """

    @cache
    def masked(label: int, query: str) -> frozenset[str]:
        return query_words(samples.classes[label].lemmas) | query_words(query)

    columns = zip(samples.texts(), samples.label.tolist(), samples.searched(), strict=True)
    return [masked_text(text, masked(label, query)) for text, label, query in columns]


def masked_text(text: Text, masked: Collection[str]) -> str:
    """Return title, description and tags as one masked text.

    It is "" if nothing but masked words is left.
    """
    return mask(" ".join([text.title, text.description, *text.tags]), masked)


def masked_gloss(known: WebClass) -> str:
    """Return the gloss of a class without the words of its lemmas; "" if there is none."""
    return mask(known.gloss, query_words(known.lemmas))
