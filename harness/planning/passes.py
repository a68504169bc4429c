"""What a run computes besides training: the features of stages that are seen, and the tests."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from harness.assembly.recipe import Recipe
from harness.planning.throughput import Span, Speed, training_seconds

# Assumed: a training step takes as long as three forward passes (forward, and a backward pass of
# twice its products); the bounds are two and four. Reading the pictures is not counted.
EPOCHS_KEPT = 2  # the last and the best: each is tested
FORWARDS, LEAST_FORWARDS, MOST_FORWARDS = 3.0, 2.0, 4.0


class Pass(NamedTuple):
    """One pass over pictures without training; ``forwards`` is in pictures at the input size."""

    name: str
    pictures: int
    forwards: float
    seconds: Span


def passes_of(
    recipe: Recipe, speeds: Mapping[str, Speed], train: int, tested: int | None, gpus: int
) -> tuple[Pass, ...]:
    """Return the feature passes and the tests of a recipe, by the training speeds of its stages.

    A view of another size than the stage's costs in proportion to its pixels.
    """
    found = [
        _pass(f"features of {name}", train, 1.0, speeds[name], gpus) for name in sorted(recipe.seen)
    ]
    for member in recipe.members if tested is not None else ():
        protocols = recipe.protocols(member)
        views = dict.fromkeys(view for views in protocols.values() for view in views)
        each = sum(view.size**2 for view in views) / member.stage.input_size**2
        name = member.stage.name
        found.append(_pass(f"test of {name}", tested or 0, each * EPOCHS_KEPT, speeds[name], gpus))
    return tuple(found)


def _pass(name: str, pictures: int, each: float, speed: Speed, gpus: int) -> Pass:
    forward = Speed(
        speed.images_per_second * FORWARDS,
        speed.low * LEAST_FORWARDS,
        speed.high * MOST_FORWARDS,
        speed.source,
    )
    forwards = pictures * each
    return Pass(name, pictures, forwards, training_seconds(forwards, forward, gpus))
