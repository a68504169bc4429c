"""Semantic matching: the similarity of an image's text and the description of its class."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Annotated

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from harness.knobs import check_fields
from harness.language.masking import masked_gloss, masked_texts
from harness.samples import Samples, WebClass
from harness.tricks.noise.ranking.match_scores import Scores, Use, use_scores

BLOCK = 65_536  # texts encoded at once: a hundred megabytes of MiniLM's vectors


@dataclass(frozen=True, kw_only=True)
class SemanticMatch:
    """Select or weigh samples by the cosine of their text and their class's gloss.

    Per sample: title, description and tags joined, without the words of its query and of the
    label's lemmas, against the gloss of the label without the lemmas; ``semantic_scores``. Then
    ``use``:

    - "select": ``round(share * n)`` best of the n samples of a class that have text.
      Samples without text are left out (subset -1), unless no sample of the class has any.
    - "weigh": multiply by ``floor`` to 2 - ``floor``, linear in the rank within the class, mean 1
      per class; samples without text keep their weight, in the middle.

    The words that found the image are masked: every text has them, right or wrong. Samples
    that an earlier trick left out stay out and are not counted.

    **Source:** Huawei deck, "Leverage meta information" and "Summary of result based on meta
    information" ("Semantic Matching" 65.5, "Baseline + Semantic Matching" 75.35); BigVideo deck,
    "Using Description Text" (selection). No deck gives an encoder's layer, a share or a weight:
    reading the first as selection and the second as weights is assumed, and so are ``share``,
    ``floor`` and the treatment of samples without text.
    """

    encoder: str = "minilm"
    use: Use = "weigh"
    share: Annotated[float, Field(gt=0, le=1)] = 0.5
    floor: Annotated[float, Field(ge=0, le=1)] = 0.5

    def __post_init__(self) -> None:
        """Check the ranges of the fields."""
        check_fields(self)

    def __call__(self, samples: Samples) -> Samples:
        """Return the samples with new ``subset`` or ``weight``.

        Raises PluginError if no text can be compared with a gloss, HarnessError if the
        encoder is not installed.
        """
        encode = partial(samples.encode, self.encoder)
        scores_N = semantic_scores(masked_texts(samples), samples.label, samples.classes, encode)
        return use_scores(samples, scores_N, self.use, share=self.share, floor=self.floor)


def semantic_scores(
    said: Sequence[str],
    label_N: NDArray[np.int32],
    classes: Sequence[WebClass],
    encode: Callable[[Sequence[str]], NDArray[np.float32]],
    *,
    block: int = BLOCK,
) -> Scores:
    """Return the cosine ``(N,)``, -1 to 1, of every masked text and the masked gloss of its label.

    s_i = e(said_i) . e(gloss_k without the words of k's lemmas), k the label. ``encode`` maps texts
    to rows of length 1 and gets ``block`` texts at once. The score is NaN if a
    text or a gloss is empty.

    **Source:** see ``SemanticMatch``.
    """
    glosses = [masked_gloss(known) for known in classes]
    described = [number for number, gloss in enumerate(glosses) if gloss]
    scores_N = np.full(len(said), np.nan, np.float32)
    labels = label_N.tolist()
    scored = [row for row, text in enumerate(said) if text and glosses[labels[row]]]
    if not scored:
        return scores_N
    gloss_KD = encode([glosses[number] for number in described])
    place = np.full(len(classes), -1)
    place[described] = np.arange(len(described))
    for first in range(0, len(scored), block):
        rows = scored[first : first + block]
        text_ND = encode([said[row] for row in rows])
        scores_N[rows] = np.einsum("nd,nd->n", text_ND, gloss_KD[place[label_N[rows]]])
    return scores_N
