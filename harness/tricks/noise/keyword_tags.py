"""WT-Set: train on nouns and adjectives of an image's text instead of its label."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Annotated

import numpy as np
from pydantic import Field, PositiveInt

from harness.errors import PluginError
from harness.knobs import check_fields
from harness.language.taggers import TaggerName, load_tagger
from harness.samples import Samples, Targets, Text


@dataclass(frozen=True, kw_only=True)
class KeywordTags:
    """Tag every image with up to ``per_image`` keywords from its title, tags and description.

    ``targets`` become those keywords, each with weight 1, and ``target_names`` the vocabulary that
    ``choose_keywords`` makes from the words that ``tagger`` finds. With cross-entropy the loss is
    the deck's sum over an image's keywords. Images without a keyword, and those that an earlier
    trick left out, get subset -1. The order of the samples does not matter.

    **Source:** WeChat deck, "Tagging images with multiple keywords": nouns and adjectives, the most
    and least common removed, 35k keywords, about five for each image; "Pretraining with
    weakly-tagged image set (WT-Set)": the loss. Assumed: both cut-offs, words as they are written
    (the slide shows surface forms), and that the first ``per_image`` keywords are kept, title
    before tags before description.
    """

    tagger: TaggerName
    least_images: PositiveInt = 5
    most_common: Annotated[float, Field(ge=0, lt=1)] = 0.01
    max_keywords: PositiveInt = 35_000
    per_image: PositiveInt = 5

    def __post_init__(self) -> None:
        """Check the ranges of the fields."""
        check_fields(self)

    def __call__(self, samples: Samples) -> Samples:
        """Return the samples with keywords; raises PluginError if none is left."""
        tag = load_tagger(self.tagger)
        kept = np.flatnonzero(samples.subset >= 0)
        texts = samples.texts()
        keywords, chosen = choose_keywords(
            ((word for part in _parts(texts[row]) for word in tag(part)) for row in kept),
            least_images=self.least_images,
            most_common=self.most_common,
            max_keywords=self.max_keywords,
            per_image=self.per_image,
        )
        if not keywords:
            raise PluginError(
                f"KeywordTags: no noun or adjective is in {self.least_images} or more of the "
                f"{len(kept)} texts; lower least_images, or use data with texts"
            )
        targets = _no_targets(len(samples), self.per_image)
        targets.classes[kept], targets.weights[kept] = chosen
        subset = np.where(targets.weights.any(axis=1), samples.subset, np.int8(-1))
        return samples.assign(targets=targets, target_names=keywords, subset=subset)


def choose_keywords(
    words_of_images: Iterable[Iterable[str]],
    *,
    least_images: int,
    most_common: float,
    max_keywords: int,
    per_image: int,
) -> tuple[tuple[str, ...], Targets]:
    """Choose a vocabulary and every image's keywords ``(N, per_image)`` from N images' words.

    Words in fewer than ``least_images`` images are dropped, then the share ``most_common``, rounded
    down, of the others: those in the most images. The ``max_keywords`` of the rest in the most
    images are the vocabulary, in that order, equally common ones by name. An image keeps the first
    ``per_image`` of its words that are in the vocabulary, each once.

    **Source:** WeChat deck, "Tagging images with multiple keywords"; the rest assumed, see
    ``KeywordTags``.
    """
    numbers: dict[str, int] = {}
    found = [
        [numbers.setdefault(word, len(numbers)) for word in dict.fromkeys(words)]
        for words in words_of_images
    ]
    sizes = np.array([len(words) for words in found], np.int64)
    words = np.fromiter((word for image in found for word in image), np.int32, sizes.sum())
    images = np.bincount(words, minlength=len(numbers))
    names = list(numbers)
    common = [number for number in range(len(names)) if images[number] >= least_images]
    common.sort(key=lambda number: (-images[number], names[number]))
    first = int(most_common * len(common))
    vocabulary = common[first : first + max_keywords]
    place = np.full(len(names), -1, np.int32)
    place[vocabulary] = np.arange(len(vocabulary), dtype=np.int32)

    places, image_of = place[words], np.repeat(np.arange(len(sizes)), sizes)
    places, image_of = places[places >= 0], image_of[places >= 0]
    begins = np.searchsorted(image_of, np.arange(len(sizes)))
    column = np.arange(len(places)) - begins[image_of]
    fits = column < per_image
    targets = _no_targets(len(sizes), per_image)
    targets.classes[image_of[fits], column[fits]] = places[fits]
    targets.weights[image_of[fits], column[fits]] = 1
    return tuple(names[number] for number in vocabulary), targets


def _parts(text: Text) -> Iterator[str]:
    yield text.title
    yield ", ".join(text.tags)
    yield text.description


def _no_targets(size: int, places: int) -> Targets:
    return Targets(np.zeros((size, places), np.int32), np.zeros((size, places), np.float32))
