"""Batches and a loss inside, as a loss trick meets them."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from harness.values import Batch, Loss


@pytest.fixture
def make_batch() -> Callable[..., Batch]:
    """Build a batch of these targets; its pictures are none."""

    def make(targets, *, teacher_logits=None, weights=None) -> Batch:
        targets = torch.as_tensor(targets, dtype=torch.float32)
        size = len(targets)
        return Batch(
            images=torch.zeros(size, 3, 1, 1),
            targets=targets,
            weights=torch.ones(size) if weights is None else torch.as_tensor(weights),
            index=torch.arange(size),
            seed=0,
            teacher_logits=teacher_logits,
        )

    return make


@pytest.fixture
def inner() -> Loss:
    """The harness's cross-entropy, which every loss trick begins with."""

    def cross_entropy(logits: Tensor, batch: Batch) -> Tensor:
        return functional.cross_entropy(logits, batch.targets, reduction="none")

    return cross_entropy
