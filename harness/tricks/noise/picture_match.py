"""Picture matching: the similarity of a picture and the name of its class, or its own text."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Annotated, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from harness.errors import PluginError
from harness.knobs import check_fields
from harness.samples import Samples
from harness.tricks.noise.ranking.match_scores import Scores, Use, use_scores

BLOCK = 65_536  # pictures encoded at once: 134 MB of vectors of 512 columns
LABEL = "{label}"
PROMPT = f"a photo of a {LABEL}."


@dataclass(frozen=True, kw_only=True)
class PictureMatch:
    """Select or weigh samples by the cosine of their picture and a text, by one encoder of both.

    ``picture_scores`` of each picture and, by ``text``:

    - "class": ``prompt`` with the first lemma of its label in place of ``{label}``;
    - "own": its title, description and tags, joined as they are. A picture without any has no
      score.

    Then ``use`` within each class, ``share`` and ``floor`` as in ``SemanticMatch``. Samples that an
    earlier trick left out stay out and are not encoded.

    **Source:** A. Radford et al., "Learning Transferable Visual Models From Natural Language
    Supervision", ICML 2021 (arXiv 2103.00020): the default prompt "A photo of a {label}.".
    C. Schuhmann et al., "LAION-400M", 2021 (arXiv 2111.02114), leaves out pictures whose cosine
    with their own text is below 0.3, and DataComp (arXiv 2304.14108) keeps a share of the best.
    Assumed: shares within each class, because cosines with different texts have different ranges.
    """

    encoder: str
    text: Literal["class", "own"] = "class"
    prompt: str = PROMPT
    use: Use = "select"
    share: Annotated[float, Field(gt=0, le=1)] = 0.8
    floor: Annotated[float, Field(ge=0, le=1)] = 0.5

    def __post_init__(self) -> None:
        """Check the ranges of the fields."""
        check_fields(self)
        if LABEL not in self.prompt:
            raise PluginError(
                f"prompt {self.prompt!r} has no place for the class; write {LABEL} where its name "
                "belongs"
            )

    @property
    def picture_encoder(self) -> str:
        """The encoder again: it must encode pictures too, which is checked before training."""
        return self.encoder

    def __call__(self, samples: Samples) -> Samples:
        """Return the samples with new ``subset`` or ``weight``.

        Raises PluginError if no picture has a text, HarnessError if the encoder is unknown, not
        installed, or encodes texts only.
        """
        said = self._texts(samples)
        rows = [row for row in np.flatnonzero(samples.subset >= 0).tolist() if said[row]]
        if not rows:
            raise PluginError(
                "these samples have no texts that their pictures can be compared with; compare "
                'them with their classes, text="class"'
            )
        scores_N = np.full(len(samples), np.nan, np.float32)
        scores_N[rows] = picture_scores(
            np.array(rows),
            [said[row] for row in rows],
            partial(samples.picture_vectors, self.encoder),
            partial(samples.encode, self.encoder),
        )
        return use_scores(samples, scores_N, self.use, share=self.share, floor=self.floor)

    def _texts(self, samples: Samples) -> list[str]:
        """Return what each picture is compared with."""
        if self.text == "own":
            found = [(text.title, text.description, *text.tags) for text in samples.texts()]
            return [" ".join(filter(None, parts)) for parts in found]
        names = [known.lemmas.partition(",")[0].strip() for known in samples.classes]
        prompts = [self.prompt.replace(LABEL, name) for name in names]
        return [prompts[label] for label in samples.label.tolist()]


def picture_scores(
    rows: NDArray[np.int64],
    said: Sequence[str],
    encode_pictures: Callable[[NDArray[np.int64]], NDArray[np.float32]],
    encode_texts: Callable[[Sequence[str]], NDArray[np.float32]],
    *,
    block: int = BLOCK,
) -> Scores:
    """Return the cosine ``(R,)``, -1 to 1, of the picture of each of ``rows`` and its text.

    s_i = e(picture_i) . e(said_i). Both functions return rows of length 1, of one width, and get
    ``block`` rows or texts at once, texts first.

    **Source:** see ``PictureMatch``.
    """
    scores = np.empty(len(rows), np.float32)
    for first in range(0, len(rows), block):
        part = slice(first, first + block)
        text_RD = encode_texts(said[part])
        scores[part] = np.einsum("rd,rd->r", encode_pictures(rows[part]), text_RD)
    return scores
