"""Where there is no GPU, nothing is fetched ahead and nothing is copied."""

from __future__ import annotations

import torch

from harness.training.prefetch import prefetch_to_device
from harness.values import Batch


def test_without_a_gpu_the_steps_are_as_they_were() -> None:
    batch = Batch(
        images=torch.zeros(2, 3, 4, 4, dtype=torch.uint8),
        targets=torch.ones(2, 5),
        weights=torch.ones(2),
        index=torch.arange(2),
        seed=7,
    )
    steps = iter([[batch], [batch, batch]])
    assert prefetch_to_device(steps, torch.device("cpu")) is steps
    assert [[id(b) for b in batches] for batches in steps] == [[id(batch)], [id(batch)] * 2]
