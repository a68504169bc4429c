"""Scoring trained weights on val and test, and keeping what they said of every picture."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from torch import nn

from harness.data.loader import Pictures
from harness.files import write_whole
from harness.record import Score
from harness.samples import Samples
from harness.testing.metrics import Top, accuracy, top_classes
from harness.testing.predict import predict
from harness.training.ranks import Ranks
from harness.values import Views

KEPT_CLASSES = 5
Epoch = Literal["last", "best"]


def epoch_scorer(
    val: Samples | None, views: Views, ranks: Ranks, threads: int
) -> Callable[[nn.Module], dict[str, float]]:
    """Return the function that scores a network on val after each epoch, under one plain view."""

    def score(module: nn.Module) -> dict[str, float]:
        if val is None:
            return {}
        probabilities = predict(module, _pictures(val), {"": views}, ranks, threads)[""]
        top = top_classes(probabilities, KEPT_CLASSES)
        return {
            f"val_top{k}": accuracy(top.classes, val.label, val.num_classes, k).flat for k in (1, 5)
        }

    return score


@dataclass(frozen=True, kw_only=True)
class Examination:
    """Every split that has labels, under every protocol; predictions are kept in ``folder``."""

    tested: Sequence[Samples]
    protocols: Mapping[str, Views]
    ranks: Ranks
    threads: int
    folder: Path

    def scores(
        self, weights: Mapping[str, Path], network: Callable[[Path], nn.Module]
    ) -> list[Score]:
        """Score each epoch's weights; one file under two names is scored once."""
        by_file: dict[Path, list[Score]] = {}
        found: list[Score] = []
        for epoch, file in weights.items():
            if file not in by_file:
                by_file[file] = self._scores(network(file), epoch)
            found += [score.model_copy(update={"epoch": epoch}) for score in by_file[file]]
        return found

    def _scores(self, module: nn.Module, epoch: str) -> list[Score]:
        scores = []
        for samples in self.tested:
            pictures = _pictures(samples)
            answers = predict(module, pictures, self.protocols, self.ranks, self.threads)
            for protocol, probabilities in answers.items():
                top = top_classes(probabilities, KEPT_CLASSES)
                name = f"{samples.split}-{protocol.replace(' ', '-')}-{epoch}.npz"
                path = self.folder / name
                sha256 = keep_predictions(path, samples, top) if self.ranks.first else ""
                scores.append(score_of(samples, top, protocol, "last", sha256))
        return scores


def score_of(samples: Samples, top: Top, protocol: str, epoch: Epoch, sha256: str = "") -> Score:
    """Return the score of these predictions."""
    top1, top5 = (accuracy(top.classes, samples.label, samples.num_classes, k) for k in (1, 5))
    return Score(
        split=samples.split,
        protocol=protocol,
        epoch=epoch,
        images=len(samples),
        top1=top1.flat,
        top5=top5.flat,
        top1_class_mean=top1.class_mean,
        top5_class_mean=top5.class_mean,
        per_class_top1=_without_nan(top1.per_class),
        per_class_top5=_without_nan(top5.per_class),
        predictions_sha256=sha256,
    )


def keep_predictions(path: Path, samples: Samples, top: Top) -> str:
    """Write file names, likeliest classes and probabilities; return the file's sha256."""
    write_whole(
        path,
        lambda file: np.savez_compressed(
            file,
            files=np.asarray(samples.files),
            classes=top.classes,
            probabilities=top.probabilities.astype(np.float16),
        ),
    )
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _pictures(samples: Samples) -> Pictures:
    # A broken picture of val or test is an error, so nothing is ever reported.
    return Pictures(samples, report=lambda _: None)


def _without_nan(values: NDArray[np.float64]) -> tuple[float | None, ...]:
    return tuple(None if np.isnan(value) else float(value) for value in values)
