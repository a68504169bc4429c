"""Semantic matching: how near the text around a picture is to the description of its class."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from harness.samples import Samples, Text, WebClass
from harness.texts.masking import masked_gloss, masked_text, query_words
from harness.tricks.noise.match_scores import Scores, Use, check_use, use_scores

BLOCK = 65_536  # texts encoded at once: a hundred megabytes of MiniLM's vectors


@dataclass(frozen=True, kw_only=True)
class SemanticMatch:
    """Select or weigh samples by the cosine of their text and their class's gloss.

    Per sample: title, description and tags in one, without the words of the label's lemmas, against
    the gloss of the label without them; ``semantic_scores``. Then ``use``:

    - "select": ``round(share * n)`` of the n samples of a class that say anything, the best.
      Samples without a text are left out (subset -1), unless no sample of the class has one.
    - "weigh": multiply by ``floor`` to 2 - ``floor``, linear in the rank within the class, mean 1
      per class; samples without a text keep their weight, which is in the middle.

    The words that found the picture are masked, because every text has them, whatever the picture
    shows; only the lemmas are known here, not what else a query said. Samples that an earlier trick
    left out stay out and are not counted.

    **Source:** Huawei deck, "Leverage meta information" and "Summary of result based on meta
    information" ("Semantic Matching" 65.5, "Baseline + Semantic Matching" 75.35); BigVideo deck,
    "Using Description Text" (selection). No deck gives an encoder's layer, a share or a weight:
    reading the first as selection and the second as weights is assumed, and so are ``share``,
    ``floor`` and what becomes of samples without a text.
    """

    encoder: str = "minilm"
    use: Use = "weigh"
    share: float = 0.5
    floor: float = 0.5

    def __post_init__(self) -> None:
        """Refuse a use that is none, a share outside (0, 1] and a floor outside [0, 1]."""
        check_use("SemanticMatch", self.use, share=self.share, floor=self.floor)

    def __call__(self, samples: Samples) -> Samples:
        """Return the samples with new ``subset`` or ``weight``.

        Raises PluginError where no text can be compared with a gloss, HarnessError where the
        encoder is not there.
        """
        encode = partial(samples.encode, self.encoder)
        scores_N = semantic_scores(samples.texts(), samples.label, samples.classes, encode)
        return use_scores(samples, scores_N, self.use, share=self.share, floor=self.floor)


def semantic_scores(
    texts: Sequence[Text],
    label_N: NDArray[np.int32],
    classes: Sequence[WebClass],
    encode: Callable[[Sequence[str]], NDArray[np.float32]],
    *,
    block: int = BLOCK,
) -> Scores:
    """Return the cosine ``(N,)``, -1 to 1, of every text and the gloss of its label, both masked.

    s_i = e(text_i without M_k) . e(gloss_k without M_k), k the label, M_k the words of its lemmas.
    ``encode`` maps texts to rows of length 1 and is given ``block`` texts at once; where nothing is
    left to say of a text or a gloss, the score is not a number.
    """
    masks = [query_words(known.lemmas) for known in classes]
    glosses = [masked_gloss(known) for known in classes]
    described = [number for number, gloss in enumerate(glosses) if gloss]
    scores_N = np.full(len(texts), np.nan, np.float32)
    said = {
        row: whole
        for row, (text, label) in enumerate(zip(texts, label_N.tolist(), strict=True))
        if glosses[label] and (whole := masked_text(text, masks[label]))
    }
    if not said:
        return scores_N
    gloss_KD = encode([glosses[number] for number in described])
    place = np.full(len(classes), -1)
    place[described] = np.arange(len(described))
    everyone = np.fromiter(said, np.int64)
    for first in range(0, len(everyone), block):
        rows = everyone[first : first + block]
        text_ND = encode([said[row] for row in rows.tolist()])
        scores_N[rows] = np.einsum("nd,nd->n", text_ND, gloss_KD[place[label_N[rows]]])
    return scores_N
