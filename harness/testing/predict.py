"""A network's predictions for images: probabilities under several views, and features."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from harness.assembly.calling import calling
from harness.data.pictures.loader import Pictures, prefetch
from harness.samplers import Rows
from harness.training.batches import normalize
from harness.training.outputs import logits_of
from harness.training.ranks import Ranks
from harness.values import View, Views

# Views of several images go through the network together. On a CPU at most as many pixels as its
# caches hold: with eight times as many, a pixel takes 1.5 times as long. On a GPU ResNets need
# about 200 bytes a pixel in fp32: 3 GiB.
PIXELS_AT_ONCE = 1 << 19
PIXELS_AT_ONCE_CUDA = 1 << 24

Probabilities = NDArray[np.float32]


class FeatureBatch(NamedTuple):
    """Features ``(B, D)`` and probabilities ``(B, K)`` of the images in the rows ``(B,)``."""

    rows: Rows
    features: NDArray[np.float32]
    probabilities: Probabilities


def predict(
    module: nn.Module,
    pictures: Pictures,
    protocols: Mapping[str, Views],
    ranks: Ranks,
    threads: int,
) -> Iterator[dict[str, Probabilities]]:
    """Yield for each batch of this rank's images the means ``(B, K)`` over each protocol's views.

    The images follow one another, and those of all ranks, in their order, are all images. Each is
    decoded once; a view that several protocols share is computed once. Every rank computes whole
    batches of one division, so the result has the same bytes for any number of ranks (rounding
    depends on the number of images that go through a network together).
    """
    views = tuple(dict.fromkeys(view for views in protocols.values() for view in views))
    places = {view: place for place, view in enumerate(views)}
    for _, batch in _batches(pictures, views, ranks, threads):
        with evaluating(module):
            by_view = _probabilities(module, batch, views, ranks)
        yield {
            name: by_view[[places[view] for view in wanted]].mean(axis=0)
            for name, wanted in protocols.items()
        }


def extract_features(
    module: nn.Module, pictures: Pictures, view: View, ranks: Ranks, threads: int
) -> Iterator[FeatureBatch]:
    """Yield the features before the head and the probabilities of this rank's rows, in order.

    Needs a network with timm's ``forward_features`` and ``forward_head``.
    """
    for rows, (batch,) in _batches(pictures, (view,), ranks, threads):
        with evaluating(module):
            images = normalize(batch, ranks.device)
            with calling(
                "the trained network", hook=f"views of {view.size} pixels", draws=("torch", "numpy")
            ):
                maps = module.forward_features(images)  # type: ignore[operator]
                pooled = module.forward_head(maps, pre_logits=True)  # type: ignore[operator]
                # Not classifier(pooled): the classifier of some networks is a convolution.
                logits = module.forward_head(maps)  # type: ignore[operator]
            features = pooled.float().flatten(1).cpu().numpy()
            probabilities = torch.softmax(logits.float(), dim=1).cpu().numpy()
        yield FeatureBatch(rows, features, probabilities)


@contextmanager
def evaluating(module: nn.Module) -> Iterator[None]:
    """Put a network in evaluation mode without gradients, and restore its mode."""
    training = module.training
    module.eval()
    try:
        with torch.inference_mode():
            yield
    finally:
        module.train(training)


def _batches(
    pictures: Pictures, views: Views, ranks: Ranks, threads: int
) -> Iterator[tuple[Rows, list[NDArray[np.uint8]]]]:
    """Yield the rows and views of this rank's batches, which follow one another."""
    at_once = PIXELS_AT_ONCE_CUDA if ranks.device.type == "cuda" else PIXELS_AT_ONCE
    size = max(1, at_once // sum(view.size**2 for view in views))
    total = len(pictures.samples)
    own = np.array_split(np.arange(0, total, size), ranks.world_size)[ranks.rank]
    parts: list[Rows] = [np.arange(first, min(first + size, total)) for first in own]
    read = prefetch((partial(pictures.test_batch, part, views) for part in parts), threads)
    return zip(parts, read, strict=True)


def _probabilities(
    module: nn.Module, batch: list[NDArray[np.uint8]], views: Views, ranks: Ranks
) -> Probabilities:
    """Return ``(V, B, K)``; views of one size go through the network together."""
    found: list[Probabilities | None] = [None] * len(views)
    for size in dict.fromkeys(view.size for view in views):
        same = [place for place, view in enumerate(views) if view.size == size]
        images = normalize(np.concatenate([batch[place] for place in same]), ranks.device)
        with calling(
            "the trained network", hook=f"views of {size} pixels", draws=("torch", "numpy")
        ):
            logits = logits_of(module(images))
        probabilities = torch.softmax(logits.float(), dim=1).cpu().numpy()
        for place, part in zip(same, np.split(probabilities, len(same)), strict=True):
            found[place] = part
    return np.stack([part for part in found if part is not None])
