"""What later stages may see of a finished one, and the samples of a stage, kept on disk."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from harness.files import write_text, write_whole
from harness.samples import Predictions, Samples, Sight, Targets
from harness.testing.metrics import top_classes
from harness.testing.predict import Seen

SEEN_CLASSES = 5


def keep_sight(folder: Path, seen: Seen, samples: Samples) -> None:
    """Write features and predictions of every training sample, the marker last."""
    top = top_classes(seen.probabilities, SEEN_CLASSES)
    of_label = seen.probabilities[np.arange(len(samples)), samples.label]
    write_whole(folder / "features.npy", lambda file: np.save(file, seen.features))
    write_whole(
        folder / "predictions.npz",
        lambda file: np.savez(
            file, classes=top.classes, probabilities=top.probabilities, of_label=of_label
        ),
    )
    write_text(folder / "sight.json", json.dumps({"samples": len(samples)}))


def kept_sight(folder: Path) -> Sight | None:
    """Return what was kept, the features memory-mapped; None where it is not all there."""
    if not (folder / "sight.json").exists():
        return None
    with np.load(folder / "predictions.npz") as arrays:
        predictions = Predictions(**{name: arrays[name] for name in Predictions._fields})
    features = np.load(folder / "features.npy", mmap_mode="r")
    return Sight(features=features, predictions=predictions)


def keep_samples(path: Path, samples: Samples) -> None:
    """Write the columns that noise tricks may change."""
    columns: dict[str, Any] = {
        "label": samples.label,
        "weight": samples.weight,
        "subset": samples.subset,
    }
    if samples.targets is not None:
        columns["target_classes"] = samples.targets.classes
        columns["target_weights"] = samples.targets.weights
    write_whole(path, lambda file: np.savez(file, **columns))


def kept_samples(path: Path, before: Samples) -> Samples:
    """Return ``before`` with the columns that ``keep_samples`` wrote."""
    with np.load(path) as arrays:
        targets = None
        if "target_classes" in arrays:
            targets = Targets(arrays["target_classes"], arrays["target_weights"])
        return before.assign(
            label=arrays["label"],
            weight=arrays["weight"],
            subset=arrays["subset"],
            targets=targets,
        )
