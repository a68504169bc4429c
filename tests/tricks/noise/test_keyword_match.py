from __future__ import annotations

import numpy as np
import pytest

from harness.errors import PluginError
from harness.samples import Text, WebClass
from harness.tricks.noise.keyword_match import KeywordMatch, keyword_scores, keywords_of

CRANE = WebClass(
    "n02012849",
    "crane",
    "large long-necked wading bird of marshes and plains in many parts of the world",
)
THING = WebClass("n1", "thing", "the thing of it")
TEXTS = [
    Text("Crane", "a large bird, LONG neck", ("wading", "marsh", "bird")),
    Text("crane", "large parts of steel"),
    Text("crane tower"),
    Text("cranes"),
    Text(),
    Text("thing", "whatever"),
]
SAID = [
    "a large bird, LONG neck wading marsh bird",
    "large parts of steel",
    "tower",
    "",
    "",
    "whatever",
]
LABEL = np.array([0, 0, 0, 0, 0, 1], np.int32)
# large, wading, bird, marsh and long are 5 of 8, large is 1, for part is a stop word.
SCORES = [5 / 8, 1 / 8, 0, np.nan, np.nan, np.nan]


def test_keywords_are_the_glosss_words_that_say_something():
    assert keywords_of(CRANE) == {
        *("large", "long", "necked", "wading", "bird", "marsh", "plain", "world")
    }
    assert keywords_of(THING) == frozenset()
    assert keywords_of(CRANE._replace(lemmas="wading bird, crane")) == {
        *("large", "long", "necked", "marsh", "plain", "world")
    }


def test_shares_by_hand():
    scores = keyword_scores(SAID, LABEL, [CRANE, THING])
    np.testing.assert_allclose(scores, SCORES)
    assert scores.dtype == np.float32


def test_what_has_more_of_the_keywords_is_selected_or_weighs_more(make_samples):
    samples = make_samples(LABEL).assign(classes=(CRANE, THING), read_texts=lambda: TEXTS)
    kept = KeywordMatch(use="select", share=0.4)(samples)
    assert kept.subset.tolist() == [0, -1, -1, -1, -1, 0]
    weighed = KeywordMatch(floor=0.0)(samples)
    np.testing.assert_allclose(weighed.weight, [5 / 3, 1, 1 / 3, 1, 1, 1], rtol=1e-6)
    assert samples.weight.tolist() == [1] * 6
    with pytest.raises(PluginError, match="no text of these samples can be compared"):
        KeywordMatch()(samples.assign(read_texts=None))


def test_settings_that_make_no_sense_are_refused():
    with pytest.raises(PluginError, match=r"KeywordMatch: share must be in \(0, 1\], got 2"):
        KeywordMatch(share=2.0)
