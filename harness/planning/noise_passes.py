"""What noise handling computes on cores: clustering of features, and encoding."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from harness.assembly.contract import tricks_of
from harness.assembly.recipe import Recipe
from harness.assembly.stage_key import encoders_of
from harness.planning.throughput import NetworkSize, Span
from harness.values import Trick

# Measured on one core of an AMD EPYC with AVX-512 and bf16, see docs/performance.md.
DENSITY_PRODUCTS = 1.4e11  # N^2 D a second: 10,000 x 2,048 in 1.45 s
CLUSTERED_VALUES = {  # N D a second, with the usual numbers of clusters: 50,000 x 512
    "harness.tricks.noise.kmeans.KMeansSubsets": 8.8e7,
    "harness.tricks.noise.confused_clusters.ConfusedClusters": 1.5e7,
}
DENSITY = "harness.tricks.noise.density.DensitySubsets"
TEXTS = {"minilm": 680.0, "lexical": 17_000.0}  # a second, of 12 tokens
SPREAD = 2.0  # assumed: another core, other texts
# Assumed, if the sizes of the classes are not known: the sum of their squares is at least that of
# equal ones, and at most as many times larger as WebVision 2.0's largest class (53,647 pictures) is
# than its mean.
MOST_UNEQUAL = 17.0


class CorePass(NamedTuple):
    """Work of one core; cores and ranks divide it. ``seconds`` is None if nothing was measured."""

    name: str
    seconds: Span | None


def pairs_of(train: int, classes: int) -> Span:
    """Return the sum of the squares of the classes' sizes, if only their number is known."""
    least = train**2 / max(1, classes)
    return Span(least * MOST_UNEQUAL**0.5, least, least * MOST_UNEQUAL)


def noise_passes(
    recipe: Recipe, train: int, pairs: Span, sizes: Mapping[str, NetworkSize]
) -> tuple[CorePass, ...]:
    """Return the clusterings of a recipe's stages, and what they encode, each once.

    ``pairs`` is the sum of the squares of the classes' sizes.
    """
    tricks = [trick for stage in recipe.stages for trick in tricks_of(stage.noise)]
    found = [_clustering(trick, train, pairs, sizes) for trick in _different(tricks)]
    # PictureMatch with text="class" encodes a text for each class, which takes no time.
    reading = [trick for trick in tricks if getattr(trick, "text", "") != "class"]
    return (
        *(one for one in found if one),
        *(
            CorePass(f"texts with {encoder}", _span(train / TEXTS[encoder]) if known else None)
            for encoder in encoders_of(reading)
            for known in (encoder in TEXTS,)
        ),
        *(
            CorePass(f"pictures with {encoder}", None)  # on any device, by any network
            for encoder in encoders_of(tricks, "picture_encoder")
        ),
    )


def _different(tricks: Sequence[Trick[Any]]) -> list[Trick[Any]]:
    return list({repr(trick): trick for trick in tricks}.values())


def _clustering(
    trick: Trick[Any], train: int, pairs: Span, sizes: Mapping[str, NetworkSize]
) -> CorePass | None:
    name = _name(trick)
    if name != DENSITY and name not in CLUSTERED_VALUES:
        return None
    sees: Any = trick
    width = sizes[sees.sees.name].features
    if name == DENSITY:
        spans = [_span(count * width / DENSITY_PRODUCTS) for count in pairs]
        seconds = Span(spans[0].estimate, spans[1].low, spans[2].high)
    else:
        seconds = _span(train * width / CLUSTERED_VALUES[name])
    return CorePass(f"{type(trick).__name__} of {sees.sees.name}", seconds)


def _name(trick: Trick[Any]) -> str:
    return f"{type(trick).__module__}.{type(trick).__qualname__}"


def _span(seconds: float) -> Span:
    return Span(seconds, seconds / SPREAD, seconds * SPREAD)
