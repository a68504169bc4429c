from __future__ import annotations

import numpy as np
import pytest

from harness.language.lexical import WIDTH, encode_words


def test_a_cosine_is_the_share_of_words_in_common():
    vectors = encode_words(["a red flower", "the Flower has petals", "flower", "a red red flower"])
    assert vectors.shape == (4, WIDTH + 1)
    assert vectors.dtype == np.float32
    cosines = vectors @ vectors.T
    assert cosines[0, 1] == pytest.approx(1 / 2)  # of red, flower and flower, petals
    assert cosines[0, 2] == pytest.approx(1 / np.sqrt(2))
    assert cosines[0, 3] == pytest.approx(3 / np.sqrt(2 * 5))  # counts 1, 1 and 2, 1


def test_what_has_no_word_is_like_nothing_else():
    vectors = encode_words(["", "the of and", "?!", "flower"])
    np.testing.assert_allclose(vectors @ vectors.T, [[1, 1, 1, 0]] * 3 + [[0, 0, 0, 1]])
    assert encode_words([]).shape == (0, WIDTH + 1)
