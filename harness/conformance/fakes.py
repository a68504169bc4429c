"""Replacements for a real run in the checks: random features, random states, copies."""

from __future__ import annotations

import random
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from harness.samples import Predictions, Samples, StageOutputs
from harness.training.batches import seed_draws
from harness.values import Batch

T = TypeVar("T")

FEATURES = 16


def seeing(samples: Samples, sees: Iterable[str]) -> Samples:
    """Return the samples with drawn features and predictions for the stages seen."""
    seen = {name: _sight(samples) for name in sees}
    return samples.assign(seen=seen, encode_texts=_encode, encode_pictures=_encode_pictures)


def _encode(encoder: str, texts: Sequence[str]) -> NDArray[np.float32]:
    """Return drawn vectors, one for each text: a contract needs no meaning, and no weights."""
    seeds = [zlib.crc32(f"{encoder} {text}".encode()) for text in texts]
    vectors = np.array([np.random.default_rng(seed).random(FEATURES) for seed in seeds])
    vectors = vectors.reshape(len(texts), FEATURES)
    return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True), np.float32)


def _encode_pictures(encoder: str, rows: NDArray[np.int64]) -> NDArray[np.float32]:
    """Return drawn vectors, one for each row, as wide as those of texts."""
    return _encode(encoder, [f"picture {row}" for row in rows.tolist()])


def _sight(samples: Samples) -> StageOutputs:
    drawn = np.random.default_rng(0)
    features = drawn.random((len(samples), FEATURES), np.float32)
    of_label = drawn.random(len(samples), np.float32)
    predictions = Predictions(samples.label[:, None].copy(), of_label[:, None].copy(), of_label)
    return StageOutputs(features, predictions)


def twice(call: Callable[[], T]) -> tuple[T, T]:
    """Return what two calls give, each after other global seeds: equal unless it draws unseeded."""
    results = []
    for seed in (1, 2):
        random.seed(seed)
        np.random.seed(seed)  # noqa: NPY002 - the global state is what is tried
        seed_draws(seed)
        results.append(call())
    first, second = results
    return first, second


@contextmanager
def random_states_kept() -> Iterator[None]:
    """Leave the global random states as they were."""
    states = random.getstate(), np.random.get_state()  # noqa: NPY002
    with torch.random.fork_rng():
        yield
    random.setstate(states[0])
    np.random.set_state(states[1])  # noqa: NPY002


def tensors_of(batch: Batch) -> dict[str, Tensor]:
    """Return a batch's tensors by name."""
    values = {name: getattr(batch, name) for name in vars(batch)}
    return {name: value for name, value in values.items() if isinstance(value, Tensor)}


def copy_batch(batch: Batch) -> Batch:
    """Return a batch that shares no memory with this one."""
    own: dict[str, Any] = {name: value.clone() for name, value in tensors_of(batch).items()}
    return replace(batch, **own)


def same_tensors(mine: Mapping[str, Tensor], others: Mapping[str, Tensor]) -> bool:
    """Return whether both hold the same names and values."""
    return mine.keys() == others.keys() and all(
        mine[name].shape == others[name].shape and torch.equal(mine[name], others[name])
        for name in mine
    )
