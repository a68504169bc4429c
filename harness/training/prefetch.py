"""Copies the next step's images to a GPU while it computes the current step."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from harness.training.batches import COLUMNS
from harness.values import Batch

TENSORS = ("images", *COLUMNS)


def prefetch_to_device(steps: Iterator[list[Batch]], device: torch.device) -> Iterator[list[Batch]]:
    """Return the micro-batches of each step, one step ahead on a CUDA device, otherwise ``steps``.

    Images are copied as bytes, from pinned memory, on a separate stream. The yielded batches may be
    used on the stream that is current then. Needs the bytes of two steps on the device.
    """
    return _on_a_stream(steps, device) if device.type == "cuda" else steps


def _on_a_stream(steps: Iterator[list[Batch]], device: torch.device) -> Iterator[list[Batch]]:
    stream = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
    waiting: tuple[list[Batch], torch.cuda.Event] | None = None
    for batches in steps:
        with torch.cuda.stream(stream):
            moved = [_moved(batch, device) for batch in batches]
            arrived = stream.record_event()
        if waiting:
            yield _ready(*waiting, device)
        waiting = moved, arrived
    if waiting:
        yield _ready(*waiting, device)


def _moved(batch: Batch, device: torch.device) -> Batch:
    def move(tensor: Tensor) -> Tensor:
        return tensor.pin_memory().to(device, non_blocking=True)

    moved: dict[str, Any] = {name: move(getattr(batch, name)) for name in TENSORS}
    clean = _moved(batch.clean, device) if batch.clean is not None else None
    return replace(batch, views=tuple(map(move, batch.views)), clean=clean, **moved)


def _ready(batches: list[Batch], arrived: torch.cuda.Event, device: torch.device) -> list[Batch]:
    """Let the current stream wait for the copy, and hold the memory until it has used it."""
    current = torch.cuda.current_stream(device)
    current.wait_event(arrived)
    for batch in batches:
        for tensor in _tensors(batch):
            tensor.record_stream(current)
    return batches


def _tensors(batch: Batch) -> Iterator[Tensor]:
    yield from (getattr(batch, name) for name in TENSORS)
    yield from batch.views
    if batch.clean is not None:
        yield from _tensors(batch.clean)
