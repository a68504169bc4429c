"""Picture matching, with vectors whose cosines are known."""

from __future__ import annotations

import numpy as np
import pytest

from harness.errors import PluginError
from harness.samples import Text, WebClass
from harness.tricks.noise.picture_match import PictureMatch, picture_scores

CLASSES = (WebClass("n1", "crane"), WebClass("n2", "jaguar, panther", "large cat"))
LABEL = [0, 0, 0, 1, 1]
SHOWN = ["crane", "jaguar", "crane and jaguar", "jaguar", "crane"]
TEXTS = [Text("Crane"), Text("", "a jaguar"), Text(), Text("", "", ("jaguar",)), Text("lake")]
AXES = ("crane", "jaguar")


def encode(texts):
    """The names among the words are two axes; everything else is a third."""
    named = [[float(name in text.lower()) for name in AXES] for text in texts]
    vectors = np.array([[*row, float(not any(row))] for row in named], np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


class Looks:
    """Encodes pictures by what they show, and says which rows it was asked for."""

    def __init__(self):
        self.rows = []

    def __call__(self, encoder, rows):
        assert encoder == "names"
        self.rows.append(rows.tolist())
        return encode([SHOWN[row] for row in rows])


@pytest.fixture
def looks():
    return Looks()


@pytest.fixture
def samples(make_samples, looks):
    said = []

    def encode_texts(encoder, texts):
        assert encoder == "names"
        said.extend(texts)
        return encode(texts)

    made = make_samples(LABEL, classes=CLASSES, read_texts=lambda: TEXTS)
    return made.assign(encode_texts=encode_texts, encode_pictures=looks), said


def test_cosines_by_hand():
    rows = np.array([0, 1, 2, 4])
    said = ["a crane", "a crane", "a crane", "a jaguar"]
    whole = picture_scores(rows, said, lambda rows: encode([SHOWN[r] for r in rows]), encode)
    np.testing.assert_allclose(whole, [1, 0, np.sqrt(0.5), 0], atol=1e-6)
    assert whole.dtype == np.float32
    for block in (1, 3):
        parts = picture_scores(
            rows, said, lambda rows: encode([SHOWN[r] for r in rows]), encode, block=block
        )
        np.testing.assert_array_equal(parts, whole)


def test_a_picture_is_compared_with_the_first_name_of_its_class(samples, looks):
    given, said = samples
    kept = PictureMatch(encoder="names", share=0.5)(given)
    assert kept.subset.tolist() == [0, -1, 0, 0, -1]
    assert said == ["a photo of a crane."] * 3 + ["a photo of a jaguar."] * 2
    assert looks.rows == [[0, 1, 2, 3, 4]]
    PictureMatch(encoder="names", prompt="{label}, {label}!")(given)
    assert said[5:] == ["crane, crane!"] * 3 + ["jaguar, jaguar!"] * 2


def test_a_picture_is_compared_with_its_own_text(samples, looks):
    given, said = samples
    kept = PictureMatch(encoder="names", text="own", share=0.5)(given)
    # The jaguar among the cranes is called one; a picture without a text has no score.
    assert said == ["Crane", "a jaguar", "jaguar", "lake"]
    assert looks.rows == [[0, 1, 3, 4]]
    assert kept.subset.tolist() == [0, -1, -1, 0, -1]
    weighed = PictureMatch(encoder="names", text="own", use="weigh", floor=0.2)(given)
    np.testing.assert_allclose(weighed.weight, [1, 1, 1, 1.4, 0.6], rtol=1e-6)


def test_what_was_left_out_is_not_encoded(samples, looks):
    given, _ = samples
    left = given.assign(subset=np.array([-1, 0, 0, 0, -1], np.int8))
    kept = PictureMatch(encoder="names", share=0.5)(left)
    assert looks.rows == [[1, 2, 3]]
    assert kept.subset.tolist() == [-1, -1, 0, 0, -1]


def test_pictures_without_any_text_are_refused(samples):
    given, _ = samples
    with pytest.raises(PluginError, match=r'have no texts .*; compare them .* text="class"'):
        PictureMatch(encoder="names", text="own")(given.assign(read_texts=None))


def test_samples_without_encoders_are_refused(samples):
    given, _ = samples
    with pytest.raises(PluginError, match="'names' was asked for pictures, but these samples have"):
        PictureMatch(encoder="names")(given.assign(encode_pictures=None))


def test_a_prompt_needs_a_place_for_the_class():
    with pytest.raises(PluginError, match="prompt 'a photo' has no place for the class; write"):
        PictureMatch(encoder="names", prompt="a photo")
