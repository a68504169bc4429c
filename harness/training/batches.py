"""From decoded images to the batch of a step, on the device."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from harness.data.pictures.loader import Loaded
from harness.samplers import Rows
from harness.samples import Samples
from harness.training.outputs import logits_of
from harness.values import MEAN, STD, Batch, Loss

COLUMNS = ("targets", "weights", "index", "subset", "source")
"""The columns of a batch, ``(B, ...)``, beside its images."""
LOGITS = ("teacher_logits", "peer_logits")
NAMED = ("outputs", "extra", "state")
"""Fields that hold tensors ``(B, ...)`` by name."""


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
        images, *views = (
            torch.from_numpy(v).permute(0, 3, 1, 2) for v in (loaded.pixels, *loaded.further)
        )
        return Batch(
            images=images,
            views=tuple(views),
            targets=dense_targets(samples, rows),
            weights=torch.from_numpy(samples.weight[rows]),
            index=torch.from_numpy(rows),
            subset=torch.from_numpy(samples.subset[rows].astype(np.int64)),
            source=torch.from_numpy(samples.source[rows].astype(np.int64)),
            seed=seed,
        )


def dense_targets(samples: Samples, rows: Rows) -> Tensor:
    """Return the targets of these rows, ``(B, K)``."""
    targets = torch.zeros(len(rows), samples.num_outputs)
    if samples.targets:
        classes = torch.from_numpy(samples.targets.classes[rows].astype(np.int64))
        return targets.scatter_add_(1, classes, torch.from_numpy(samples.targets.weights[rows]))
    label = torch.from_numpy(samples.label[rows].astype(np.int64))
    return targets.scatter_(1, label[:, None], 1.0)


def with_columns(batch: Batch, samples: Samples) -> Batch:
    """Return the batch with targets, weights and subsets of other samples of the same rows.

    What they leave out, subset -1, has weight 0: it is in the batch for another network.
    """
    rows = batch.index.cpu().numpy()
    device = batch.images.device
    subset = samples.subset[rows]
    weights = np.where(subset >= 0, samples.weight[rows], 0).astype(np.float32)
    return replace(
        batch,
        targets=dense_targets(samples, rows).to(device),
        weights=torch.from_numpy(weights).to(device),
        subset=torch.from_numpy(subset.astype(np.int64)).to(device),
    )


def to_device(batch: Batch, device: torch.device, **fields: Any) -> Batch:
    """Return the batch on the device, its images normalised floats, with other ``fields``."""
    columns: dict[str, Any] = {name: getattr(batch, name).to(device) for name in COLUMNS}
    return replace(
        batch,
        images=_floats(batch.images.permute(0, 2, 3, 1), device),
        views=tuple(_floats(view.permute(0, 2, 3, 1), device) for view in batch.views),
        clean=to_device(batch.clean, device) if batch.clean is not None else None,
        **columns,
        **fields,
    )


def seed_draws(seed: int, device: torch.device | None = None) -> None:
    """Seed what draws on this device and on the CPU without a generator, such as dropout.

    Without a device, every GPU, if there is one.

    The same draws as after torch.manual_seed, which seeds every kind of device: without a GPU it
    formats stack traces for the day that one is used, 100 microseconds a call.
    """
    torch.default_generator.manual_seed(seed)
    if device is None:
        if torch.cuda.is_available():
            torch.cuda.manual_seed_all(seed)
    elif device.type == "cuda":
        with torch.cuda.device(device):
            torch.cuda.manual_seed(seed)


def with_teacher_logits(batch: Batch, teachers: Sequence[nn.Module]) -> Batch:
    """Return the batch with the logits of each teacher, ``(M, B, K)``."""
    if not teachers:
        return batch
    with torch.no_grad():
        answers = [logits_of(teacher(batch.images)).float() for teacher in teachers]
        logits = torch.stack(answers)
    return replace(batch, teacher_logits=logits)


def split_batch(batch: Batch, seeds: Sequence[int]) -> list[Batch]:
    """Return equal parts of consecutive samples as views, one for each seed."""
    if len(seeds) == 1:
        return [batch if batch.seed == seeds[0] else replace(batch, seed=seeds[0])]
    count = len(seeds)
    columns = {name: getattr(batch, name).chunk(count) for name in ("images", *COLUMNS)}
    logits = {
        name: tensor.chunk(count, dim=1)
        for name in LOGITS
        if (tensor := getattr(batch, name)) is not None
    }
    views = [view.chunk(count) for view in batch.views]
    named = {
        name: {key: tensor.chunk(count) for key, tensor in getattr(batch, name).items()}
        for name in NAMED
    }

    def part(number: int, seed: int) -> Batch:
        changed: dict[str, Any] = {"seed": seed, "views": tuple(view[number] for view in views)}
        for name, chunks in (*columns.items(), *logits.items()):
            changed[name] = chunks[number]
        for name, tensors in named.items():
            changed[name] = {key: chunks[number] for key, chunks in tensors.items()}
        return replace(batch, **changed)

    return [part(number, seed) for number, seed in enumerate(seeds)]


def join_batches(parts: Sequence[Batch]) -> Batch:
    """Return the parts as one batch, with the seed of the first.

    Without the logits of teachers and peers, which are those of images after the batch tricks.
    """
    if len(parts) == 1:
        return parts[0]
    changed: dict[str, Any] = {
        name: torch.cat([getattr(part, name) for part in parts]) for name in ("images", *COLUMNS)
    }
    for name in NAMED:
        keys = getattr(parts[0], name)
        changed[name] = {key: torch.cat([getattr(p, name)[key] for p in parts]) for key in keys}
    views = zip(*(part.views for part in parts), strict=True)
    return replace(parts[0], views=tuple(map(torch.cat, views)), **changed)


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
