"""Copies the next step's images to a GPU while it computes the current step."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import torch

from harness.values import Batch

TENSORS = ("images", "targets", "weights", "index")


def prefetch_to_device(steps: Iterator[list[Batch]], device: torch.device) -> Iterator[list[Batch]]:
    """Return the micro-batches of each step, on a CUDA device one step ahead; else ``steps``.

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
    tensors = {name: getattr(batch, name).pin_memory() for name in TENSORS}
    return replace(batch, **{k: v.to(device, non_blocking=True) for k, v in tensors.items()})


def _ready(batches: list[Batch], arrived: torch.cuda.Event, device: torch.device) -> list[Batch]:
    """Let the current stream wait for the copy, and hold the memory until it has used it."""
    current = torch.cuda.current_stream(device)
    current.wait_event(arrived)
    for batch in batches:
        for name in TENSORS:
            getattr(batch, name).record_stream(current)
    return batches
