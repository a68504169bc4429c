from __future__ import annotations

import re
from math import sqrt

import numpy as np
import pytest

from harness.errors import DataError, PluginError
from harness.samples import Samples, Text, WebClass
from harness.tricks.noise import label_weights
from harness.tricks.noise.label_weights import LabelWeights, descriptions, heaviest

CLASSES = (
    WebClass("n02084071", "dog, domestic dog", "barks loud"),
    WebClass("n02012849", "crane", "wades tall"),
    WebClass("n02114100", "wolf", "howls loud"),
)
WORDS = ("dog", "domestic", "barks", "wolf", "howls", "loud", "crane", "wades", "tall")


def encode(encoder, texts):
    """Count the words of ``WORDS``; a text that has none points into a direction of its own."""
    assert encoder == "words"
    counts = np.array(
        [[re.findall(r"\w+", text.lower()).count(word) for word in WORDS] for text in texts]
    ).reshape(len(texts), len(WORDS))
    whole = np.hstack([counts, ~counts.any(axis=1, keepdims=True)]).astype(np.float32)
    return whole / np.linalg.norm(whole, axis=1, keepdims=True)


@pytest.fixture
def told(make_samples):
    def tell(label, texts, **columns) -> Samples:
        return make_samples(label, num_classes=3, **columns).assign(
            classes=CLASSES, read_texts=lambda: texts, encode_texts=encode
        )

    return tell


def test_the_label_and_its_neighbours_are_weighed_by_hand(told):
    """A dog's nearest is the wolf. Without "dog", the text is "barks and howls"."""
    samples = told([0], [Text("Dogs", "barks and howls", ("dog",))])
    after = LabelWeights(encoder="words", neighbours=1)(samples)
    assert after.targets.classes.tolist() == [[0, 2]]
    own = 1 / sqrt(2) / sqrt(2)  # with "barks loud"
    near = 1 / sqrt(2) / sqrt(3)  # with "wolf howls loud"
    np.testing.assert_allclose(after.targets.weights, [[own, near]], rtol=1e-6)
    assert after.targets.weights.dtype == np.float32
    assert after.target_names == ()
    assert samples.targets is None


def test_a_text_that_speaks_of_a_neighbour_weighs_it_more(told):
    samples = told([0, 2], [Text("dog", "the wolf howls"), Text("wolf", "wolf howls")])
    after = LabelWeights(encoder="words", neighbours=1)(samples)
    assert after.targets.classes.tolist() == [[2, 0], [2, 0]]
    np.testing.assert_allclose(
        after.targets.weights, [[2 / sqrt(2) / sqrt(3), 0], [1 / sqrt(2), 0]], rtol=1e-6
    )


def test_only_the_top_is_kept(told):
    samples = told([0], [Text("", "loud barks, tall, tall")])
    after = LabelWeights(encoder="words", neighbours=2, top=2)(samples)
    assert after.targets.classes.tolist() == [[0, 1]]  # the wolf shares "loud" only
    np.testing.assert_allclose(
        after.targets.weights, [[2 / sqrt(6) / sqrt(2), 2 / sqrt(6) / sqrt(3)]], rtol=1e-6
    )


def test_images_whose_text_says_nothing_more_are_left_out(told):
    texts = [Text("dog", "", ("dogs",)), Text("unheard of"), Text(), Text("barks"), Text("barks")]
    samples = told([0] * 5, texts, subset=np.array([0, 0, 0, 0, -1], np.int8))
    after = LabelWeights(encoder="words")(samples)
    assert after.subset.tolist() == [-1, -1, -1, 0, -1]
    assert after.targets.weights.any(axis=1).tolist() == [False, False, False, True, False]


def test_texts_are_compared_in_parts(told, monkeypatch):
    texts = [Text("", " ".join(WORDS[place : place + 4])) for place in range(6)]
    samples = told([0, 1, 2, 0, 1, 2], texts)
    whole = LabelWeights(encoder="words")(samples).targets
    monkeypatch.setattr(label_weights, "TEXTS_AT_ONCE", 4)
    parts = LabelWeights(encoder="words")(samples).targets
    np.testing.assert_array_equal(parts.classes, whole.classes)
    np.testing.assert_array_equal(parts.weights, whole.weights)


def test_of_a_class_only_the_gloss_is_compared_and_of_others_what_differs():
    lark = WebClass("n01", "meadow lark", "a lark of meadows")
    other = WebClass("n02", "horned lark, lark", "a lark with horns")
    texts = descriptions((lark, other), np.array([[0, 1], [1, 0]], np.int32))
    words = [re.findall(r"\w+", text) for text in texts]
    assert words == [
        ["a", "of"],
        ["horned", "a", "with", "horns"],
        ["a", "with", "horns"],
        ["meadow", "a", "of", "meadows"],
    ]


def test_the_heaviest_by_hand():
    """The figure's five weights, and of equal ones the first."""
    classes, weights = heaviest(
        np.array([[7, 1, 2, 3, 4, 5], [0, 1, 2, 3, 4, 5]], np.int32),
        np.array([[0.77, 0.28, 0.45, 0.02, 0.11, 0.31], [-0.5, 0.2, 0.2, -0.1, 0, 0]], np.float32),
        top=5,
    )
    assert classes.tolist() == [[7, 2, 5, 1, 4], [1, 2, 4, 5, 3]]
    np.testing.assert_allclose(
        weights, [[0.77, 0.45, 0.31, 0.28, 0.11], [0.2, 0.2, 0, 0, 0]], rtol=1e-6
    )


def test_classes_that_wordnet_does_not_have_are_said(make_samples):
    with pytest.raises(
        DataError, match=r"2 of 2 ids are not nouns of WordNet 3\.0, such as 'n00000000'"
    ):
        LabelWeights(encoder="words")(make_samples([0, 1]))


@pytest.mark.parametrize(
    ("bad", "said"),
    [
        ({"neighbours": -1}, "neighbours must be an int"),
        ({"top": 0}, "top must be an int"),
    ],
)
def test_bad_values_are_refused(bad, said):
    with pytest.raises(PluginError, match=said):
        LabelWeights(encoder="words", **bad)
