"""Nouns and adjectives of a text, found without a network connection."""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Iterable
from typing import Literal, TypeAlias

from harness.errors import HarnessError

TaggerName: TypeAlias = Literal["nltk", "textblob"]
Tagger: TypeAlias = Callable[[str], list[str]]
"""Maps a text to its nouns and adjectives."""

NOUNS_AND_ADJECTIVES = ("NN", "JJ")  # how their Penn Treebank tags start
SHORTEST = 3  # letters; shorter ones are mostly fragments of a tokenizer
_WORD = re.compile(r"[^\W\d_]+(?:-[^\W\d_]+)*")
NLTK_DATA = ("averaged_perceptron_tagger_eng", "punkt_tab")
INSTALL = "pip install 'webvision-harness[text]'"


def best_tagger() -> TaggerName:
    """Return "nltk" if NLTK and its English data are installed, else "textblob".

    A trick that tags has this name as a field, so the stage's key and the record contain it. Raises
    HarnessError if neither is installed.
    """
    for name in ("nltk", "textblob"):
        try:
            _MAKERS[name]()
        except (ImportError, LookupError, OSError):  # OSError: data that NLTK may not read
            continue
        return name
    raise HarnessError(f"no tagger of nouns and adjectives is installed; {INSTALL}")


def load_tagger(name: TaggerName) -> Tagger:
    """Return the function that finds the nouns and adjectives of a text.

    They are in the order of the text, each once, in lower case, of letters and hyphens only, and of
    three letters or more. "nltk" is NLTK's averaged perceptron, "textblob" the lexicon and rules of
    TextBlob's ``PatternTagger``. Both are for English and tag most unknown words as nouns.

    Raises HarnessError if the tagger or its data is not installed.
    """
    try:
        tag = _MAKERS[name]()
    except ImportError as error:
        raise HarnessError(f"tagger {name!r} is not installed; {INSTALL}") from error
    except (LookupError, OSError) as error:
        raise HarnessError(
            f"the data of tagger {name!r} is not installed; python -m nltk.downloader "
            f"{' '.join(NLTK_DATA)}, or choose textblob"
        ) from error
    return lambda text: nouns_and_adjectives(tag(text))


def nouns_and_adjectives(tagged: Iterable[tuple[str, str]]) -> list[str]:
    """Return the words (word, Penn Treebank tag) that are nouns or adjectives, as above.

    >>> nouns_and_adjectives([("The", "DT"), ("big", "JJ"), ("Dogs", "NNS"), ("saw", "VBD")])
    ['big', 'dogs']
    """
    words = (word.lower() for word, tag in tagged if tag.startswith(NOUNS_AND_ADJECTIVES))
    whole = (word for word in words if len(word) >= SHORTEST and _WORD.fullmatch(word))
    return list(dict.fromkeys(whole))


Tag: TypeAlias = Callable[[str], Iterable[tuple[str, str]]]


def _nltk() -> Tag:
    from nltk.tag import PerceptronTagger
    from nltk.tokenize import NLTKWordTokenizer, PunktTokenizer

    tagger, sentences, words = PerceptronTagger(), PunktTokenizer(), NLTKWordTokenizer()

    def tag(text: str) -> Iterable[tuple[str, str]]:
        for sentence in sentences.tokenize(text):
            yield from tagger.tag(words.tokenize(sentence))

    return tag


def _textblob() -> Tag:
    from textblob.en.taggers import PatternTagger

    tagger = PatternTagger()
    with warnings.catch_warnings():
        # It reads its lexicon at the first text and does not close the file.
        warnings.simplefilter("ignore", ResourceWarning)
        tagger.tag("word", tokenize=True)
    return lambda text: tagger.tag(text, tokenize=True)


_MAKERS: dict[str, Callable[[], Tag]] = {"nltk": _nltk, "textblob": _textblob}
