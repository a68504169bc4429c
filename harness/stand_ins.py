"""Drawn stand-ins for what a run would bring: what the contract of plugins is checked on."""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness.recipe import StageRecipe
from harness.samples import COLUMNS, Predictions, Samples, Sight
from harness.values import Batch

PICTURES = 4
FEATURES = 16


def read_only(samples: Samples, sees: Iterable[str]) -> Samples:
    """Return samples that cannot be written to, with drawn features for the stages seen."""
    columns: dict[str, Any] = {name: np.array(getattr(samples, name)) for name in COLUMNS}
    for column in columns.values():
        column.flags.writeable = False
    seen: Mapping[str, Sight] = {name: _sight(samples) for name in sees}
    return samples.assign(**columns, seen=seen, encode_texts=_encode)


def _encode(encoder: str, texts: Sequence[str]) -> NDArray[np.float32]:
    """Return drawn vectors, one for each text: a contract needs no meaning, and no weights."""
    seeds = [zlib.crc32(f"{encoder} {text}".encode()) for text in texts]
    vectors = np.array([np.random.default_rng(seed).random(FEATURES) for seed in seeds])
    vectors = vectors.reshape(len(texts), FEATURES)
    return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True), np.float32)


def _sight(samples: Samples) -> Sight:
    random = np.random.default_rng(0)
    features = random.random((len(samples), FEATURES), np.float32)
    of_label = random.random(len(samples), np.float32)
    predictions = Predictions(samples.label[:, None].copy(), of_label[:, None].copy(), of_label)
    for array in (features, *predictions):
        array.flags.writeable = False
    return Sight(features, predictions)


def drawn_batch(stage: StageRecipe, num_classes: int) -> Batch:
    """Return a batch as a stage's tricks are given one, its images normalised already."""
    import torch

    size, teachers = stage.stage.input_size, len(stage.stage.teachers)
    index = torch.arange(PICTURES)
    return Batch(
        images=torch.rand(PICTURES, 3, size, size),
        targets=torch.eye(num_classes)[index % num_classes],
        weights=torch.ones(PICTURES),
        index=index,
        seed=0,
        teacher_logits=torch.rand(teachers, PICTURES, num_classes) if teachers else None,
    )
