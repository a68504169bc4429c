"""The profile that shrinks every method to the user's pictures, classes and device."""

from __future__ import annotations

import os
from pathlib import Path

from harness.plans import EIGHT, Profile

# The training of the baseline, in seconds of one device or two cores; methods of several stages
# take a small multiple. `harness run --plugin baseline --data folder:PATH` prints images a second.
BUDGET_SECONDS = {"cpu": 120.0, "gpu": 600.0}
DECODE_SECONDS = 0.008  # a megapixel, over two threads
EPOCHS = 75  # of the baseline, in full size
MOST_CPU_PIXELS, MOST_GPU_PIXELS = 64, 160  # of an input's side
MANY_CLASSES = 200  # more get a larger network on a GPU
DEVICES = ("cpu", "gpu")


def fit(count: int, classes: int, short_side: int, megapixels: float, device: str) -> Profile:
    """Return the profile for ``count`` training pictures of this median short side in pixels.

    Inputs are no larger than the pictures, batches no larger than a tenth of them. Epochs are cut
    until the baseline takes a few minutes on the device, ``megapixels`` a picture to decode
    included. Only these numbers decide it: two copies of the data get the same profile.
    """
    gpu = device == "gpu"
    most = MOST_GPU_PIXELS if gpu else MOST_CPU_PIXELS
    side = max(4 * EIGHT, min(most, short_side // EIGHT * EIGHT))
    largest = 256 if gpu else 128
    batch = 8
    while batch < largest and batch * 10 < count:
        batch *= 2
    seconds = DECODE_SECONDS * megapixels + _step_seconds(side, gpu=gpu)
    share = BUDGET_SECONDS[device] / (seconds * count * EPOCHS)
    return Profile(
        backbone=_backbone(classes, gpu=gpu),
        input_size=side,
        epochs_share=float(f"{min(1.0, share):.2g}"),
        batch_size=batch,
        lr=0.1 * batch / largest,
        min_crop_area=0.35,
    )


def _backbone(classes: int, *, gpu: bool) -> str:
    if not gpu:
        return "test_resnet"
    return "resnet50" if classes > MANY_CLASSES else "resnet18"


def _step_seconds(side: int, *, gpu: bool) -> float:
    """Return the seconds that training takes for a picture."""
    return (1 / 3_000 if gpu else 1 / 1_300) * (side / (MOST_GPU_PIXELS if gpu else 32)) ** 2


def device_here() -> str:
    """Return "gpu" if torch would use one here, else "cpu"; imports torch only if one is there."""
    asked = os.environ.get("CUDA_VISIBLE_DEVICES")
    there = any(Path(name).exists() for name in ("/dev/nvidiactl", "/dev/kfd", "/dev/dxg"))
    if asked == "" or not there:
        return "cpu"
    import torch

    return "gpu" if torch.cuda.is_available() else "cpu"
