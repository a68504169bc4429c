"""Noisy labels against clean images on synthweb, and how well density finds the noise.

    python benchmarks/calibrate_synthweb.py --preset small --runs 3

It trains with a plain torch loop, so the figures in ``harness/data/synthweb/__init__.py`` do not
depend on the harness's engine. It reads the truth file, which no method may read.
"""

from __future__ import annotations

import argparse
import csv
import math
import tempfile
import time
from collections import Counter
from pathlib import Path

import numpy as np
import timm
import torch
import torch.nn.functional as F  # noqa: N812 - its name everywhere
from PIL import Image
from scipy.spatial.distance import cdist
from sklearn.metrics import roc_auc_score

from harness.data.synthweb import VERSION, generate
from harness.data.webvision import read_split
from harness.samples import Samples

SIZE = 32
BATCH = 128
CROP_AREA = (0.35, 1.0)
DENSITY_QUANTILE = 0.6  # CurriculumNet's published code: density_t


def read_images(samples: Samples) -> torch.Tensor:
    """Return all pictures ``(N, 3, 64, 64)``, uint8."""
    pixels = np.stack([np.asarray(Image.open(samples.root / file)) for file in samples.files])
    return torch.from_numpy(pixels).permute(0, 3, 1, 2).contiguous()


def read_kinds(root: Path, samples: Samples) -> np.ndarray:
    """Return the kind of every training sample, in the order of ``samples``."""
    with (root / "truth" / "train_truth.csv").open(newline="") as lines:
        kinds = {row["file"]: row["kind"] for row in csv.DictReader(lines)}
    return np.array([kinds[file] for file in samples.files])


def to_float(images: torch.Tensor) -> torch.Tensor:
    return images.to(memory_format=torch.channels_last).float() / 127.5 - 1


def random_crops(images: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """Random resized crop and flip of a batch in one resampling."""
    count = len(images)
    area, ratio, across, down, flip = torch.rand(5, count, generator=generator)
    area = CROP_AREA[0] + (CROP_AREA[1] - CROP_AREA[0]) * area
    ratio = torch.exp((2 * ratio - 1) * math.log(4 / 3))
    wide = (area * ratio).sqrt().clamp(max=1)
    high = (area / ratio).sqrt().clamp(max=1)
    theta = torch.zeros(count, 2, 3)
    theta[:, 0, 0] = wide * torch.where(flip < 0.5, -1.0, 1.0)
    theta[:, 1, 1] = high
    theta[:, 0, 2] = (2 * across - 1) * (1 - wide)
    theta[:, 1, 2] = (2 * down - 1) * (1 - high)
    grid = F.affine_grid(theta, [count, 3, SIZE, SIZE], align_corners=False)
    return F.grid_sample(to_float(images), grid, align_corners=False)


def centre_view(images: torch.Tensor) -> torch.Tensor:
    resized = F.interpolate(to_float(images), size=36, mode="bilinear", antialias=True)
    return resized[:, :, 2:34, 2:34]


def train(
    images: torch.Tensor,
    labels: torch.Tensor,
    num_classes: int,
    *,
    steps: int,
    seed: int,
    lr: float,
) -> torch.nn.Module:
    """Plain cross-entropy for ``steps`` steps: SGD, Nesterov, one warm-up epoch, cosine."""
    torch.manual_seed(seed)
    generator = torch.Generator().manual_seed(seed)
    model = timm.create_model("test_resnet", num_classes=num_classes)
    model = model.to(memory_format=torch.channels_last).train()
    optimiser = torch.optim.SGD(
        model.parameters(), lr=lr, momentum=0.9, nesterov=True, weight_decay=5e-4
    )
    order = torch.empty(0, dtype=torch.long)
    for step in range(steps):
        if len(order) < BATCH:
            order = torch.cat([order, torch.randperm(len(images), generator=generator)])
        chosen, order = order[:BATCH], order[BATCH:]
        factor = min((step + 1) / 20, 0.5 + 0.5 * math.cos(math.pi * step / steps))
        for group in optimiser.param_groups:
            group["lr"] = lr * factor
        loss = F.cross_entropy(model(random_crops(images[chosen], generator)), labels[chosen])
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        optimiser.step()
    return model.eval()


@torch.no_grad()
def features_and_logits(
    model: torch.nn.Module, images: torch.Tensor
) -> tuple[np.ndarray, np.ndarray]:
    """Return penultimate features ``(N, D)`` and logits ``(N, K)`` of the centre views."""
    features, logits = [], []
    for part in images.split(512):
        pooled = model.forward_head(model.forward_features(centre_view(part)), pre_logits=True)
        features.append(pooled)
        logits.append(model.get_classifier()(pooled))
    return torch.cat(features).numpy(), torch.cat(logits).numpy()


def top1(model: torch.nn.Module, images: torch.Tensor, labels: np.ndarray) -> np.ndarray:
    """Return per picture whether the best class is right."""
    return features_and_logits(model, images)[1].argmax(1) == labels


def density(features: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Return per sample the share of its class nearer than the class's 60th percentile."""
    found = np.zeros(len(labels))
    for label in np.unique(labels):
        rows = np.flatnonzero(labels == label)
        distance = cdist(features[rows], features[rows])
        found[rows] = (distance < np.quantile(distance, DENSITY_QUANTILE)).mean(1)
    return found


def class_mean_auc(
    score: np.ndarray, clean: np.ndarray, labels: np.ndarray, chosen: np.ndarray
) -> float:
    """Mean over classes, weighted by size, of the area under the ROC within the class."""
    areas, sizes = [], []
    for label in np.unique(labels):
        rows = (labels == label) & chosen
        if 0 < clean[rows].sum() < rows.sum():
            areas.append(roc_auc_score(clean[rows], score[rows]))
            sizes.append(rows.sum())
    return float(np.average(areas, weights=sizes))


def describe(samples: Samples, kind: np.ndarray) -> None:
    sizes = np.bincount(samples.label)
    print(f"{len(samples)} entries, {samples.num_classes} classes of {sizes.min()}..{sizes.max()}")
    print(f"imbalance {sizes.max() / sizes.min():.1f}, kinds {dict(Counter(kind.tolist()))}")
    for number, source in enumerate(samples.source_names):
        rows = samples.source == number
        print(f"wrong in {source}: {np.mean(kind[rows] != 'clean'):.1%} of {rows.sum()}")
    names = Counter(file.split("/")[-1] for file in samples.files)
    print(f"ambiguous classes {len(set(samples.label[kind == 'second_sense']))}")
    print(f"second-sense entries {np.mean(kind == 'second_sense'):.1%}")
    print(f"files listed more than once {sum(count > 1 for count in names.values())}")


def summary(values: list[float]) -> str:
    spread = np.std(values, ddof=1) if len(values) > 1 else float("nan")
    return (
        f"{np.mean(values):.1f} sd {spread:.1f} (n {len(values)}: {np.round(values, 1).tolist()})"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--preset", default="small")
    parser.add_argument("--data-seed", type=int, default=0)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=24)
    parser.add_argument("--lr", type=float, default=0.1)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        root = generate(Path(folder) / "data", asked.preset, asked.data_seed)
        samples, test = read_split(root, "train"), read_split(root, "test")
        kind = read_kinds(root, samples)
        images, test_images = read_images(samples), read_images(test)
    describe(samples, kind)
    steps = round(asked.epochs * len(samples) / BATCH)
    print(f"v{VERSION} {asked.preset} seed {asked.data_seed}: {steps} steps, lr {asked.lr}")
    labels, clean = torch.from_numpy(samples.label).long(), kind == "clean"
    noisy_top1, clean_top1, areas = [], [], {"all": [], "without ambiguous": []}
    ambiguous = np.isin(samples.label, samples.label[kind == "second_sense"])
    for seed in range(asked.runs):
        start = time.perf_counter()
        model = train(images, labels, samples.num_classes, steps=steps, seed=seed, lr=asked.lr)
        right = top1(model, test_images, test.label)
        noisy_top1.append(100 * right.mean())
        found = density(features_and_logits(model, images)[0], samples.label)
        areas["all"].append(class_mean_auc(found, clean, samples.label, clean | True))
        areas["without ambiguous"].append(class_mean_auc(found, clean, samples.label, ~ambiguous))
        for name in ("confused", "outside", "second_sense"):
            areas.setdefault(f"clean against {name}", []).append(
                class_mean_auc(found, clean, samples.label, clean | (kind == name))
            )
        model = train(
            images[clean], labels[clean], samples.num_classes, steps=steps, seed=seed, lr=asked.lr
        )
        right = top1(model, test_images, test.label)
        clean_top1.append(100 * right.mean())
        print(
            f"  seed {seed}: noisy {noisy_top1[-1]:.1f}, clean {clean_top1[-1]:.1f}, "
            f"density AUC {areas['all'][-1]:.3f}, {time.perf_counter() - start:.0f} s",
            flush=True,
        )
    gains = [c - n for c, n in zip(clean_top1, noisy_top1, strict=True)]
    print(f"noisy labels, top-1:   {summary(noisy_top1)}")
    print(f"clean images, top-1:   {summary(clean_top1)}")
    print(f"gain, points:          {summary(gains)}")
    for name, values in areas.items():
        print(f"density AUC, {name}: {np.mean(values):.3f}")


if __name__ == "__main__":
    main()
