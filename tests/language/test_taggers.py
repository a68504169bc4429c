"""Nouns and adjectives: the taggers that are there, and what is said where they are not."""

from __future__ import annotations

import json
import random
import sys
from pathlib import Path

import pytest

from harness.errors import HarnessError
from harness.language.taggers import best_tagger, load_tagger, nouns_and_adjectives

SENTENCES = {
    "The mountain lion diet in this area consists largely of ungulates": (
        ["mountain", "lion", "diet", "area", "ungulates"]
    ),
    "cheetah africa savannah animal wildcat big cat mammal": (
        ["cheetah", "africa", "savannah", "animal", "wildcat", "big", "cat", "mammal"]
    ),
    "A beautiful red crane was standing near the old bridge": (
        ["beautiful", "red", "crane", "old", "bridge"]
    ),
    "She quickly ate the juicy lemon and left": ["juicy", "lemon"],
}


@pytest.mark.parametrize("sentence", SENTENCES)
def test_textblob_finds_nouns_and_adjectives(sentence):
    found = load_tagger("textblob")(sentence)
    assert [word for word in SENTENCES[sentence] if word not in found] == []
    assert not {"the", "and", "she", "quickly", "was", "largely", "this", "near"} & set(found)


def test_words_come_once_in_order_and_lower_case():
    found = load_tagger("textblob")("Crane, crane; big CRANE and a bigger lake")
    assert found[:2] == ["crane", "big"]
    assert found.count("crane") == 1


def test_what_is_not_a_word_is_left_out():
    tagged = [
        *[("http://x.org/a", "NN"), ("dog.jpg", "NN"), ("42", "NN"), ("ox", "NN"), ("d80", "NN")],
        *[("green-winged", "JJ"), ("-", "NN"), ("Été", "NN"), ("東京都", "NN"), ("runs", "VBZ")],
    ]
    assert nouns_and_adjectives(tagged) == ["green-winged", "été", "東京都"]


@pytest.mark.parametrize("text", ["", " ", "\x00\n", "!!! ... ???", "\ud800"])
def test_a_text_without_words_has_none(text):
    assert load_tagger("textblob")(text) == []


@pytest.fixture
def nltk_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """NLTK's data folder, empty: nothing of the machine's is found."""
    import nltk

    folder = tmp_path / "nltk_data"
    folder.mkdir(mode=0o700)
    monkeypatch.setattr(nltk.data, "path", [str(folder)])
    nltk.data.clear_cache()
    return folder


TAUGHT = [
    [("The", "DT"), ("red", "JJ"), ("crane", "NN"), ("runs", "VBZ"), (".", ".")],
    [
        ("A", "DT"),
        ("dog", "NN"),
        ("sees", "VBZ"),
        ("the", "DT"),
        ("old", "JJ"),
        ("lake", "NN"),
        (".", "."),
    ],
    [
        ("The", "DT"),
        ("cats", "NNS"),
        ("see", "VBP"),
        ("a", "DT"),
        ("big", "JJ"),
        ("bird", "NN"),
        (".", "."),
    ],
]


def teach(folder: Path) -> None:
    """Train NLTK's own tagger on a few sentences and lay it down as its downloader does."""
    from nltk.tag import PerceptronTagger

    random.seed(0)  # it shuffles
    tagger = PerceptronTagger(load=False)
    tagger.train(TAUGHT, nr_iter=20)
    model = folder / "taggers" / "averaged_perceptron_tagger_eng"
    model.mkdir(parents=True)
    for part, content in {
        "weights": tagger.model.weights,
        "tagdict": tagger.tagdict,
        "classes": sorted(tagger.classes),
    }.items():
        path = model / f"averaged_perceptron_tagger_eng.{part}.json"
        path.write_text(json.dumps(content))
    punkt = folder / "tokenizers" / "punkt_tab" / "english"
    punkt.mkdir(parents=True)
    for name in ("collocations.tab", "sent_starters.txt", "abbrev_types.txt", "ortho_context.tab"):
        (punkt / name).write_text("")


def test_nltk_is_the_best_if_its_data_is_there(nltk_data):
    teach(nltk_data)
    assert best_tagger() == "nltk"
    found = load_tagger("nltk")("The red crane runs. A dog sees the big bird.")
    assert found == ["red", "crane", "dog", "big", "bird"]


def test_textblob_is_the_best_if_nltk_has_no_data(nltk_data):
    assert best_tagger() == "textblob"
    with pytest.raises(HarnessError) as raised:
        load_tagger("nltk")
    assert str(raised.value) == (
        "the data of tagger 'nltk' is not installed; python -m nltk.downloader "
        "averaged_perceptron_tagger_eng punkt_tab, or choose textblob"
    )


def test_without_the_extra_one_line_says_what_to_install(monkeypatch):
    for module in ("nltk.tag", "nltk.tokenize", "textblob.en.taggers"):
        monkeypatch.setitem(sys.modules, module, None)  # as where it is not installed
    for ask in (best_tagger, lambda: load_tagger("textblob"), lambda: load_tagger("nltk")):
        with pytest.raises(
            HarnessError, match=r"installed; pip install 'webvision-harness\[text\]'$"
        ):
            ask()
