from __future__ import annotations

import numpy as np
import pytest

from harness.language.lexical import encode_words
from harness.language.masking import (
    mask,
    masked_gloss,
    masked_text,
    masked_texts,
    query_words,
    singular,
    words_of,
)
from harness.samples import Text, WebClass
from harness.tricks.noise.semantic_match import semantic_scores

# Huawei deck, "Leverage meta information": one query, one class, two pictures.
COROLLA = WebClass(
    "n11691046",
    "corolla",
    "(botany) the whorl of petals of a flower that collectively form an inner floral envelope or "
    'layer of the perianth: "we cultivate the flower for its corolla"',
)
FLOWER = Text(
    "philosophy",
    "There are philosophies as varied as the flowers of the field, and some of them weeds and a "
    "few of them poisonous weeds. But they none of them create the psychological conditions in "
    "which I first saw, or desired to see, the flower. - G. K. Chesterton",
    (
        *("flower", "quote", "style", "philosophy", "petal", "stamen", "chesterton"),
        *("corolla", "mythoto"),
    ),
)
CAR = Text(
    "New & Used Toyota Corolla Sedan cars for sale in Australia ...",
    "2016 Toyota Corolla Ascent Auto",
)


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("Cranes", "crane"),
        ("berries", "berry"),
        ("Foxes", "fox"),
        ("churches", "church"),
        ("glasses", "glass"),
        ("grass", "grass"),
        ("bus", "bus"),
        ("iris", "iris"),
        ("pies", "pie"),
        ("as", "as"),
        ("STRASSE", "strasse"),
        ("straße", "strasse"),
    ],
)
def test_plurals_by_spelling(word, expected):
    assert singular(word) == expected


def test_the_words_of_all_lemmas_alone_and_as_one():
    assert query_words("billiard ball, Pool Balls") == {
        *("billiard", "ball", "billiardball"),
        *("pool", "poolball"),
    }
    assert query_words("") == frozenset()


def test_words_are_masked_whole_and_in_the_plural():
    masked = query_words("tench, Tinca tinca")
    assert mask("Tenches! A tench's life: Tinca-Tinca, tincatinca, tenching", masked) == (
        "A 's life: tenching"
    )
    assert words_of("Two Tenches' lives") == ["two", "tench", "live"]


def test_a_text_that_only_says_its_query_says_nothing():
    masked = query_words("brambling, Fringilla montifringilla")
    text = Text("Brambling", "Brambling - Fringilla montifringilla", ("brambling",))
    assert masked_text(text, masked) == ""
    assert masked_text(Text(), masked) == ""
    assert masked_text(Text("", "", ("Moscow", "region")), masked) == "Moscow region"


def test_of_a_sample_its_query_and_its_lemmas_are_masked(make_samples):
    crane, thing = WebClass("n1", "crane"), WebClass("n2", "thing, crane bird")
    texts = [
        Text("Crane birds", "tall birds"),
        Text("crane bird"),
        Text("bird of the lake"),
        Text(),
    ]
    samples = make_samples(
        [0, 0, 1, 1],
        source=np.array([0, 1, 0, 1], np.int8),
        query=np.array([1, 1, 1, 2], np.int32),
        classes=(crane, thing),
    ).assign(read_texts=lambda: texts)
    assert masked_texts(samples) == ["birds tall birds", "bird", "of the lake", ""]
    queries = {"google": {1: "crane bird"}, "flickr": {1: "tall crane"}}
    samples = samples.assign(read_queries=lambda: queries)
    assert samples.searched() == ["crane bird", "tall crane", "crane bird", ""]
    assert masked_texts(samples) == ["tall", "bird", "of the lake", ""]
    unknown = samples.assign(query=np.full(4, -1, np.int32), read_queries=lambda: 1 / 0)
    assert masked_texts(unknown) == ["birds tall birds", "bird", "of the lake", ""]


def test_the_gloss_is_without_its_lemmas():
    assert masked_gloss(COROLLA).endswith('"we cultivate the flower for its')
    assert masked_gloss(WebClass("n1", "tench", "tenches")) == ""


def cosines(encode, lemmas=COROLLA.lemmas):
    known = COROLLA._replace(lemmas=lemmas)
    said = [masked_text(text, query_words(lemmas)) for text in (FLOWER, CAR)]
    return semantic_scores(said, np.zeros(2, np.int32), [known], encode)


@pytest.mark.slow
def test_minilm_tells_the_flower_from_the_car(minilm):
    flower, car = cosines(minilm)
    assert flower > 0.3
    assert car < 0.1


def test_unmasked_both_look_like_the_gloss(minilm):
    for encode in (minilm, encode_words):
        flower, car = cosines(encode)
        flower_with_query, car_with_query = cosines(encode, lemmas="")
        assert car_with_query > car + 0.08
        assert flower_with_query < flower + 0.05


def test_word_counts_have_nothing_for_the_car():
    flower, car = cosines(encode_words)
    assert flower > 0.1
    assert car == 0
