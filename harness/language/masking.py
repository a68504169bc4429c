"""Leaves out of a text the words that found it: they say nothing about which sense was meant.

Every text around a picture has the words of its query, whatever the picture shows: "2016 Toyota
Corolla Ascent Auto" and a poem about flowers were both found by "corolla". Left in, they make any
text look like the gloss of the class; so they are taken out of the text, and those that stand for
the class, its lemmas, out of the gloss, too.
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

    By spelling alone, so that words are compared, not shown: "Foxes" is fox, "berries" berry,
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
    """Return the words that find pictures, from a query or from lemmas joined by ", ".

    Each word of a term counts by itself, and a term of several words also written as one, as tags
    have it: "billiard ball" gives billiard, ball and billiardball.
    """
    found: set[str] = set()
    for term in terms.split(","):
        words = _WORD.findall(term)
        found |= {singular(word) for word in (*words, "".join(words)) if word}
    return frozenset(found)


def mask(text: str, masked: Collection[str]) -> str:
    """Return the text without the words of ``masked``, plurals included.

    Punctuation that stands alone goes, too, so that nothing is left of a text of such words.
    """
    kept = _WORD.sub(lambda found: "" if singular(found[0]) in masked else found[0], text)
    return " ".join(part for part in kept.split() if _WORD.search(part))


def masked_texts(samples: Samples) -> list[str]:
    """Return what the text of every sample says beyond the words that found it; "" for nothing.

    Left out are the words of its query and of its label's lemmas.
    """

    @cache
    def masked(label: int, query: str) -> frozenset[str]:
        return query_words(samples.classes[label].lemmas) | query_words(query)

    columns = zip(samples.texts(), samples.label.tolist(), samples.searched(), strict=True)
    return [masked_text(text, masked(label, query)) for text, label, query in columns]


def masked_text(text: Text, masked: Collection[str]) -> str:
    """Return title, description and tags as one masked text.

    It is "" where it says nothing beyond the query.
    """
    return mask(" ".join([text.title, text.description, *text.tags]), masked)


def masked_gloss(known: WebClass) -> str:
    """Return the gloss of a class without the words of its lemmas; "" where there is none."""
    return mask(known.gloss, query_words(known.lemmas))
