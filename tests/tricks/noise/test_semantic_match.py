from __future__ import annotations

import numpy as np
import pytest

from harness.errors import PluginError
from harness.samples import Text, WebClass
from harness.tricks.noise.semantic_match import SemanticMatch, semantic_scores

CLASSES = (
    WebClass("n1", "crane", "a crane is a wading bird"),
    WebClass("n2", "jaguar, panther", "large cat"),
    WebClass("n3", "thing"),
)
SAID = ["bird by the water wading", "steel tower", "", "", "cat", "car dealer", "whatever"]
TEXTS = [
    Text("crane", "bird by the water", ("wading",)),
    Text("Cranes!", "steel tower"),
    Text("crane"),
    Text(),
    Text("Jaguar", "", ("panther", "cat")),
    Text("jaguar", "car dealer"),
    Text("thing", "whatever"),
]
LABEL = [0, 0, 0, 0, 1, 1, 2]
AXES = {"bird": 0, "wading": 0, "cat": 1, "tower": 2, "steel": 2, "car": 2, "dealer": 2}


class Axes:
    """Every known word is a step along one of three axes, all others along the fourth."""

    def __init__(self):
        self.given = []

    def __call__(self, texts):
        self.given.append(list(texts))
        vectors = np.zeros((len(texts), 4), np.float32)
        for row, text in enumerate(texts):
            for word in text.split():
                vectors[row, AXES.get(word, 3)] += 1
        return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def test_cosines_by_hand():
    encode = Axes()
    scores = semantic_scores(SAID, np.array(LABEL, np.int32), CLASSES, encode)
    # The glosses are "a is a wading bird", (2, 0, 0, 3), and "large cat", (0, 1, 0, 1).
    # "bird by the water wading" is (2, 0, 0, 3) too, "steel tower" (0, 0, 2, 0).
    expected = [1, 0, np.nan, np.nan, np.sqrt(0.5), 0, np.nan]
    np.testing.assert_allclose(scores, expected, atol=1e-6)
    assert scores.dtype == np.float32
    said = [["a is a wading bird", "large cat"]]
    said += [["bird by the water wading", "steel tower", "cat", "car dealer"]]
    assert encode.given == said


def test_blocks_change_nothing():
    label = np.array(LABEL, np.int32)
    whole = semantic_scores(SAID, label, CLASSES, Axes())
    for block in (1, 3):
        np.testing.assert_array_equal(
            semantic_scores(SAID, label, CLASSES, Axes(), block=block), whole
        )


@pytest.fixture
def samples(make_samples):
    encode = Axes()
    return make_samples(LABEL).assign(
        classes=CLASSES,
        read_texts=lambda: TEXTS,
        encode_texts=lambda encoder, texts: {"minilm": encode, "st:x": Axes()}[encoder](texts),
    )


def test_the_best_matching_half_is_selected(samples):
    kept = SemanticMatch(use="select", share=0.5)(samples)
    assert kept.subset.tolist() == [0, -1, -1, -1, 0, -1, 0]
    assert kept.weight is not samples.weight
    assert samples.subset.tolist() == [0] * 7


def test_what_matches_better_weighs_more(samples):
    weighed = SemanticMatch(encoder="st:x", floor=0.5)(samples)
    assert weighed.weight.tolist() == [1.25, 0.75, 1, 1, 1.25, 0.75, 1]
    assert samples.weight.tolist() == [1] * 7


def test_the_order_of_the_samples_does_not_matter(samples):
    order = np.array([6, 2, 0, 5, 3, 1, 4])
    turned = samples.assign(
        label=samples.label[order], read_texts=lambda: [TEXTS[row] for row in order]
    )
    weighed = SemanticMatch()(samples).weight[order]
    np.testing.assert_array_equal(SemanticMatch()(turned).weight, weighed)


def test_samples_without_texts_are_an_error(samples):
    with pytest.raises(PluginError, match="no text of these samples can be compared"):
        SemanticMatch()(samples.assign(read_texts=None))


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"use": "both"}, "use must be one of select, weigh, got 'both'"),
        ({"share": 0.0}, r"share must be in \(0, 1\], got 0.0"),
        ({"share": float("nan")}, r"share must be in \(0, 1\], got nan"),
        ({"floor": 1.5}, r"floor must be in \[0, 1\], got 1.5"),
    ],
)
def test_settings_that_make_no_sense_are_refused(settings, said):
    with pytest.raises(PluginError, match=said):
        SemanticMatch(**settings)
