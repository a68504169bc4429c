"""From decoded images to the batch of a step, on the device."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from harness.data.pictures.loader import Loaded
from harness.samples import Samples
from harness.values import Batch, Loss

# ImageNet's statistics, the default of timm's networks.
MEAN = (0.485, 0.456, 0.406)
STD = (0.229, 0.224, 0.225)


def normalize(pixels: NDArray[np.uint8], device: torch.device) -> Tensor:
    """Move ``(B, H, W, 3)`` uint8 to the device as normalised floats ``(B, 3, H, W)``.

    Bytes are copied, not floats; the permuted layout already is channels_last.
    """
    return _floats(torch.from_numpy(pixels), device)


def _floats(source: Tensor, device: torch.device) -> Tensor:
    if device.type == "cuda" and not source.is_cuda:
        source = source.pin_memory()
    flat = source.to(device, non_blocking=True).flatten(1).float()
    scale, shift = _scale_and_shift(flat.shape[1], device)
    return flat.mul_(scale).add_(shift).view(source.shape).permute(0, 3, 1, 2)


@lru_cache(maxsize=8)
def _scale_and_shift(values: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Return one entry per value of an image; broadcasting over channels is 6 times slower."""
    mean, std = (torch.tensor(part).repeat(values // 3) for part in (MEAN, STD))
    return (1 / (255 * std)).to(device), (-mean / std).to(device)


class Collator:
    """The columns of the training samples; only the rows of a batch are copied."""

    def __init__(self, samples: Samples) -> None:
        self._samples = samples

    def collate(self, loaded: Loaded, seed: int) -> Batch:
        """Return the batch of these images, still as bytes, with dense targets ``(B, K)``."""
        rows, samples = loaded.rows, self._samples
        targets = torch.zeros(len(rows), samples.num_outputs)
        if samples.targets:
            classes = torch.from_numpy(samples.targets.classes[rows].astype(np.int64))
            targets.scatter_add_(1, classes, torch.from_numpy(samples.targets.weights[rows]))
        else:
            label = torch.from_numpy(samples.label[rows].astype(np.int64))
            targets.scatter_(1, label[:, None], 1.0)
        return Batch(
            images=torch.from_numpy(loaded.pixels).permute(0, 3, 1, 2),
            targets=targets,
            weights=torch.from_numpy(samples.weight[rows]),
            index=torch.from_numpy(rows),
            seed=seed,
        )


def to_device(batch: Batch, device: torch.device) -> Batch:
    """Return the batch on the device, its images normalised floats."""
    return Batch(
        images=_floats(batch.images.permute(0, 2, 3, 1), device),
        targets=batch.targets.to(device),
        weights=batch.weights.to(device),
        index=batch.index.to(device),
        seed=batch.seed,
    )


def seed_draws(seed: int, device: torch.device) -> None:
    """Seed what draws on this device and on the CPU without a generator, such as dropout.

    The same draws as after torch.manual_seed, which seeds every kind of device: without a GPU it
    formats stack traces for the day that one is used, 100 microseconds a call.
    """
    torch.default_generator.manual_seed(seed)
    if device.type == "cuda":
        with torch.cuda.device(device):
            torch.cuda.manual_seed(seed)


def with_teacher_logits(batch: Batch, teachers: Sequence[nn.Module]) -> Batch:
    """Return the batch with the logits of each teacher, ``(M, B, K)``."""
    if not teachers:
        return batch
    with torch.no_grad():
        logits = torch.stack([teacher(batch.images).float() for teacher in teachers])
    return replace(batch, teacher_logits=logits)


def split_batch(batch: Batch, seeds: Sequence[int]) -> list[Batch]:
    """Return equal parts of consecutive samples as views, one for each seed."""
    if len(seeds) == 1:
        return [batch if batch.seed == seeds[0] else replace(batch, seed=seeds[0])]
    columns = [column.chunk(len(seeds)) for column in (batch.images, batch.targets)]
    columns += [column.chunk(len(seeds)) for column in (batch.weights, batch.index)]
    logits = batch.teacher_logits
    taught = [None] * len(seeds) if logits is None else logits.chunk(len(seeds), dim=1)
    return [
        Batch(images=images, targets=targets, weights=weights, index=index, seed=seed,
              teacher_logits=teacher_logits)
        for images, targets, weights, index, seed, teacher_logits
        in zip(*columns, seeds, taught, strict=True)
    ]  # fmt: skip


def join_batches(parts: Sequence[Batch]) -> Batch:
    """Return the parts as one batch, with the seed of the first."""
    if len(parts) == 1:
        return parts[0]
    return replace(
        parts[0],
        images=torch.cat([part.images for part in parts]),
        targets=torch.cat([part.targets for part in parts]),
        weights=torch.cat([part.weights for part in parts]),
        index=torch.cat([part.index for part in parts]),
    )


def in_parts(loss: Loss, seeds: Sequence[int]) -> Loss:
    """Return the loss applied to one part of the batch at a time, as ``split_batch`` splits it."""
    if len(seeds) == 1:
        return loss

    def of_parts(logits: Tensor, batch: Batch) -> Tensor:
        parts = zip(logits.chunk(len(seeds)), split_batch(batch, seeds), strict=True)
        return torch.cat([loss(part_logits, part) for part_logits, part in parts])

    return of_parts


def cross_entropy(logits: Tensor, batch: Batch) -> Tensor:
    """Return ``-sum_k targets_k log softmax(logits)_k`` of every sample, ``(B,)``."""
    return nn.functional.cross_entropy(logits, batch.targets, reduction="none")
