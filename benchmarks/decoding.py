"""Images a second and core: our loader against torchvision's ImageFolder and timm's loader.

Each draws a random crop of 224 pixels from the same JPEGs of short side 256 and flips it. They
alternate over the rounds on one core; times are processor times. Ours is timed up to bytes, as they
are copied to the device, and up to normalised floats, which the others make on the processor.

    python benchmarks/decoding.py [--images 256] [--rounds 5] [--json FILE]
"""

from __future__ import annotations

import json
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import click
import numpy as np
import torch
from PIL import Image
from tabulate import tabulate
from timm.data import create_dataset, create_loader
from torch.utils.data import DataLoader
from torchvision import transforms
from torchvision.datasets import ImageFolder

from harness.data.pictures.decode import Box, crop_and_resize, decode
from harness.data.pictures.loader import Crops, Pictures
from harness.samples import Samples, WebClass
from harness.training.batches import normalize
from harness.values import MEAN, STD

SIZE, BATCH = 224, 32
SLOPE = 1.4  # of the amplitude over frequency
CPU = torch.device("cpu")


def draw_pictures(folder: Path, count: int) -> None:
    """Write pictures like photographs in their spectrum, 341 x 256, about 16 KB.

    WebVision 1.0's resized Google archive has 16.98 GB for about 1.05 million pictures.
    """
    random = np.random.default_rng(0)
    frequency = np.hypot(np.fft.fftfreq(256)[:, None], np.fft.fftfreq(341)[None, :])
    for number in range(count):
        spectrum = np.fft.fft2(random.standard_normal((256, 341, 3)), axes=(0, 1))
        pink = np.fft.ifft2(
            spectrum / np.maximum(frequency, 1 / 341)[:, :, None] ** SLOPE, axes=(0, 1)
        ).real
        pixels = (128 + 50 * pink / pink.std()).clip(0, 255).astype(np.uint8)
        path = folder / f"class{number % 4}" / f"{number:05d}.jpg"
        path.parent.mkdir(exist_ok=True)
        Image.fromarray(pixels).save(path, quality=85)


def samples_of(folder: Path) -> Samples:
    files = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*.jpg"))
    zeros = np.zeros(len(files), np.int32)
    return Samples(
        split="train",
        root=folder,
        files=np.array(files),
        label=zeros,
        source=zeros.astype(np.int8),
        query=zeros,
        rank=zeros,
        weight=np.ones(len(files), np.float32),
        subset=zeros.astype(np.int8),
        classes=(WebClass("n0", "all"),),
    )


def ways_of(folder: Path) -> dict[str, Callable[[], int]]:
    """Return each way as a function that goes once through the pictures and counts them."""
    samples = samples_of(folder)
    pictures = Pictures(samples, print)
    usual = transforms.Compose(
        [
            transforms.RandomResizedCrop(SIZE),
            transforms.RandomHorizontalFlip(),
            transforms.ToTensor(),
            transforms.Normalize(MEAN, STD),
        ]
    )
    torchvisions = DataLoader(ImageFolder(folder, usual), BATCH, shuffle=True)
    timms = create_loader(
        create_dataset("", str(folder)),
        (3, SIZE, SIZE),
        BATCH,
        is_training=True,
        num_workers=0,
        use_prefetcher=False,
        color_jitter=0.0,
        interpolation="bilinear",
        device=CPU,
        persistent_workers=False,
        pin_memory=False,
    )

    def ours(finish: Callable[[np.ndarray], object]) -> int:
        rows = np.arange(len(samples))
        for first in range(0, len(rows), BATCH):
            batch = rows[first : first + BATCH]
            finish(
                pictures.training_batch(batch, slice(None), Crops(SIZE, 0.08), (0, first)).pixels
            )
        return len(rows)

    return {
        "torchvision ImageFolder, floats": lambda: sum(len(images) for images, _ in torchvisions),
        "timm create_loader, floats": lambda: sum(len(images) for images, _ in timms),
        "ours, bytes": lambda: ours(len),
        "ours, floats": lambda: ours(lambda pixels: normalize(pixels, CPU)),
    }


def grey_levels(folder: Path) -> float:
    """Return our crops' mean difference from Pillow's antialiased ones."""
    found = []
    for path in sorted(folder.rglob("*.jpg"))[:32]:
        box = Box(40, 20, 300, 230)
        theirs = (
            Image.open(path).convert("RGB").resize((SIZE, SIZE), Image.Resampling.BILINEAR, box=box)
        )
        mine = crop_and_resize(decode(path.read_bytes()), box, SIZE, flip=False)
        found.append(np.abs(mine.astype(int) - np.asarray(theirs).astype(int)).mean())
    return float(np.mean(found))


@click.command()
@click.option("--images", default=256, show_default=True)
@click.option("--rounds", default=5, show_default=True)
@click.option("--json", "json_file", type=click.Path(path_type=Path))
def main(images: int, rounds: int, json_file: Path | None) -> None:
    """Print images a second and core, and the ratio to ImageFolder, round by round."""
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        draw_pictures(folder, images)
        size = statistics.mean(path.stat().st_size for path in folder.rglob("*.jpg"))
        ways = ways_of(folder)
        seconds: dict[str, list[float]] = {name: [] for name in ways}
        for _ in range(rounds + 1):  # the first warms up
            for way, go in ways.items():
                begin = time.process_time()
                count = go()
                seconds[way].append((time.process_time() - begin) / count)
        difference = grey_levels(folder)
    first, second, *_ = ways
    rows = []
    for way, times in seconds.items():
        kept = times[1:]
        rows.append(
            {
                "way": way,
                "images/s/core": 1 / statistics.median(kept),
                "over ImageFolder": statistics.median(
                    a / b for a, b in zip(seconds[first][1:], kept, strict=True)
                ),
                "over timm": statistics.median(
                    a / b for a, b in zip(seconds[second][1:], kept, strict=True)
                ),
            }
        )
    print(f"{images} JPEGs of {size / 1024:.1f} KB, {rounds} rounds, medians")
    print(tabulate(rows, headers="keys", floatfmt=("", ".0f", ".2f", ".2f")))
    print(f"mean difference from Pillow's crop: {difference:.3f} grey levels")
    if json_file:
        json_file.write_text(json.dumps({"rows": rows, "grey_levels": difference}, indent=1))


if __name__ == "__main__":
    main()
