"""LW-Set: weigh an image's label and the classes near it by its text."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pydantic import NonNegativeInt, PositiveInt

from harness.knobs import check_fields
from harness.language.masking import mask, masked_texts, query_words
from harness.language.wordnet import load_nouns
from harness.samples import Samples, Targets, WebClass

TEXTS_AT_ONCE = 65_536  # 100 MB of vectors of 384 dimensions


@dataclass(frozen=True, kw_only=True)
class LabelWeights:
    """Give every image the ``top`` most similar of its label and ``neighbours`` classes near it.

    The candidates of an image are its label as found and the classes nearest to it by path length
    in WordNet. Each is weighed by the cosine of its lemmas and gloss with the image's title,
    description and tags, both encoded by ``encoder``. The words of the label are removed from both,
    and those of the query from the texts: every text has the words that found it, so they carry no
    information. A cosine below 0 counts as 0; the weights are not normalised. Images without a
    weight (they have no other words), and those that an earlier trick left out, get subset -1.

    Raises DataError if a class is not a noun synset of WordNet 3.0.

    **Source:** WeChat deck, "Weighting labels with semantic similarity" (text similarity, nearest
    synsets defined by WordNet, top-k) and "Pretraining with label-weighted image set (LW-Set)".
    The figure shows five neighbours, and five labels with the weights .77, .45, .31, .28 and .11.
    Assumed: the encoder and which text of a class is compared. The masking is our choice.
    """

    encoder: str
    neighbours: NonNegativeInt = 5
    top: PositiveInt = 5

    def __post_init__(self) -> None:
        """Check the ranges of the fields."""
        check_fields(self)

    def __call__(self, samples: Samples) -> Samples:
        """Return the samples with weighted targets among the data set's classes."""
        candidates_KC = candidates_of(samples.classes, self.neighbours)
        classes_KCD = samples.encode(self.encoder, descriptions(samples.classes, candidates_KC))
        classes_KCD = classes_KCD.reshape(*candidates_KC.shape, -1)
        targets = self._compare(samples, candidates_KC, classes_KCD)
        subset = np.where(targets.weights.any(axis=1), samples.subset, np.int8(-1))
        return samples.assign(targets=targets, target_names=(), subset=subset)

    def _compare(
        self,
        samples: Samples,
        candidates_KC: NDArray[np.int32],
        classes_KCD: NDArray[np.float32],
    ) -> Targets:
        """Return the targets of all samples; those that are left out have none."""
        places = min(self.top, candidates_KC.shape[1])
        targets = Targets(
            np.zeros((len(samples), places), np.int32), np.zeros((len(samples), places), np.float32)
        )
        texts = masked_texts(samples)
        kept = (samples.subset >= 0).tolist()
        told = np.array([row for row, text in enumerate(texts) if text and kept[row]], np.int64)
        for start in range(0, len(told), TEXTS_AT_ONCE):
            rows = told[start : start + TEXTS_AT_ONCE]
            texts_ND = samples.encode(self.encoder, [texts[row] for row in rows])
            label = samples.label[rows]
            similarity_NC = np.stack(
                [
                    np.einsum("nd,nd->n", texts_ND, classes_KCD[label, column])
                    for column in range(candidates_KC.shape[1])
                ],
                axis=1,
            )
            best = heaviest(candidates_KC[label], similarity_NC, top=self.top)
            targets.classes[rows], targets.weights[rows] = best
        return targets


def candidates_of(classes: tuple[WebClass, ...], neighbours: int) -> NDArray[np.int32]:
    """Return for each of K classes itself and then its nearest ones by WordNet: ``(K, C)``.

    C is ``neighbours`` + 1, or K if there are fewer classes. Raises DataError if a class is
    not a noun of WordNet 3.0.
    """
    near = load_nouns().nearest([known.wnid for known in classes], neighbours)
    return np.concatenate([np.arange(len(classes), dtype=np.int32)[:, None], near], axis=1)


def descriptions(classes: tuple[WebClass, ...], candidates_KC: NDArray[np.int32]) -> list[str]:
    """Return lemmas and gloss of every candidate, row by row, without the words of its row's class.

    So of the class itself only the gloss is left, and of its neighbours all that tells them apart.
    """
    texts = []
    for known, candidates in zip(classes, candidates_KC, strict=True):
        masked = query_words(known.lemmas)
        near = [classes[candidate] for candidate in candidates]
        texts += [mask(f"{other.lemmas}: {other.gloss}", masked) for other in near]
    return texts


def heaviest(
    classes_NC: NDArray[np.int32], similarity_NC: NDArray[np.float32], *, top: int
) -> Targets:
    """Keep the ``top`` of C candidates that are most similar: ``w = max(0, similarity)``.

    Heaviest first, equal ones in the order of the candidates. Returns two ``(N, min(top, C))``.
    """
    order = np.argsort(-similarity_NC, axis=1, kind="stable")[:, :top]
    weights = np.maximum(np.take_along_axis(similarity_NC, order, axis=1), 0)
    return Targets(np.take_along_axis(classes_NC, order, axis=1), weights.astype(np.float32))
