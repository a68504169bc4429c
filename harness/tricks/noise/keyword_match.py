"""Keyword matching: the share of a class's keywords that the text of an image has."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from harness.knobs import check_fields
from harness.language.masking import masked_gloss, masked_texts, singular, words_of
from harness.samples import Samples, WebClass
from harness.tricks.noise.ranking.match_scores import Scores, Use, use_scores

SHORTEST = 3  # letters of a keyword


@dataclass(frozen=True, kw_only=True)
class KeywordMatch:
    """Select or weigh samples by the share of their class's keywords in their text.

    ``keyword_scores`` on title, description and tags joined, then ``use``, ``share`` and ``floor``
    as in ``SemanticMatch``: "select" keeps the best share of the samples of a class that have text,
    of equal scores the first ones; "weigh" multiplies by ``floor`` to 2 - ``floor`` by rank, mean 1
    per class. Samples without text are not selected and keep their weight.

    **Source:** Huawei deck, "Leverage meta information": "Keyword matching: match the keywords
    between image descriptions/tags with synset descriptions", without a result. What a keyword is,
    the score and its use are assumed.
    """

    use: Use = "weigh"
    share: Annotated[float, Field(gt=0, le=1)] = 0.5
    floor: Annotated[float, Field(ge=0, le=1)] = 0.5

    def __post_init__(self) -> None:
        """Check the ranges of the fields."""
        check_fields(self)

    def __call__(self, samples: Samples) -> Samples:
        """Return the samples with new ``subset`` or ``weight``.

        Raises PluginError if no text can be compared with a gloss.
        """
        scores_N = keyword_scores(masked_texts(samples), samples.label, samples.classes)
        return use_scores(samples, scores_N, self.use, share=self.share, floor=self.floor)


def keyword_scores(
    said: Sequence[str], label_N: NDArray[np.int32], classes: Sequence[WebClass]
) -> Scores:
    """Return the share ``(N,)``, 0 to 1, of the keywords of each label that a masked text has.

    s_i = |words(said_i) & keywords_k| / |keywords_k|, k the label. It is NaN if the text is empty
    or the class has no keywords.

    **Source:** see ``KeywordMatch``.
    """
    wanted = [keywords_of(known) for known in classes]
    scores_N = np.full(len(said), np.nan, np.float32)
    for row, (text, label) in enumerate(zip(said, label_N.tolist(), strict=True)):
        if text and wanted[label]:
            scores_N[row] = len(wanted[label].intersection(words_of(text))) / len(wanted[label])
    return scores_N


def keywords_of(known: WebClass) -> frozenset[str]:
    """Return the words of a class's gloss, in the singular, without lemmas and stop words.

    Stop words are scikit-learn's for English and words of one or two letters.
    """
    from sklearn.feature_extraction.text import ENGLISH_STOP_WORDS

    empty = {singular(word) for word in ENGLISH_STOP_WORDS}
    words = words_of(masked_gloss(known))
    return frozenset(word for word in words if len(word) >= SHORTEST and word not in empty)
