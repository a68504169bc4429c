"""Batches as a batch trick meets them: on the device, their images normalised floats."""

from __future__ import annotations

import pytest
import torch

from harness.values import Batch


@pytest.fixture
def batch() -> Batch:
    """Six samples of four classes, one of which weighs nothing."""
    random = torch.Generator().manual_seed(0)
    return Batch(
        # channels_last, as pictures come.
        images=torch.randn(6, 8, 8, 3, generator=random).permute(0, 3, 1, 2),
        targets=torch.eye(4)[[0, 1, 2, 3, 0, 1]],
        weights=torch.tensor([1.0, 0.5, 0.0, 2.0, 1.5, 1.0]),
        index=torch.arange(6) + 10,
        seed=7,
    )
