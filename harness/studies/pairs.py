"""Runs paired by seed, and which of the same test images each of them classifies correctly."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from harness.errors import HarnessError
from harness.scores import METRICS, SPLITS, TOP_K, Epoch, Metric
from harness.store.record import ResultRecord
from harness.testing.predictions import StoredPredictions, load_predictions

SeedsByImages: TypeAlias = NDArray[np.bool_]
LoadPredictions: TypeAlias = Callable[[Path, ResultRecord, str, str, Epoch], StoredPredictions]


class Run(NamedTuple):
    """A record, and the harness home that holds its predictions."""

    record: ResultRecord
    home: Path


class _TestedImages(NamedTuple):
    """The images of one split: names, labels, and the digest of their pixels if it is known."""

    files: NDArray[np.str_]
    labels: NDArray[np.int32]
    digest: str | None


def shared_seeds(before: Mapping[int, object], after: Mapping[int, object]) -> tuple[int, ...]:
    """Return the seeds that both sides have, in the order of ``before``."""
    return tuple(seed for seed in before if seed in after)


def shared_split(records: Iterable[ResultRecord], protocol: str | None = None) -> str | None:
    """Return the first of ``SPLITS`` that all records have a score of; None if there is none.

    Only scores under ``protocol`` count, if it is given.
    """
    scored = [
        {score.split for score in record.scores if protocol in (None, score.protocol)}
        for record in records
    ]
    return next((split for split in SPLITS if scored and all(split in s for s in scored)), None)


def own_protocol(record: ResultRecord, split: str) -> str:
    """Return the protocol of the method's own views: the last that the split was scored under."""
    return [score.protocol for score in record.scores if score.split == split][-1]


class Answers:
    """Which test images runs classify correctly.

    All runs must have been scored on the same images and labels. Each run's predictions are read
    once; of each image, one bit a metric is kept.
    """

    def __init__(self, load: LoadPredictions = load_predictions) -> None:
        """Take the function that reads the predictions of a run: home, record and terms."""
        self._read = load
        self._images: dict[str, _TestedImages] = {}
        self._correct: dict[tuple[Path, str, str, str, Epoch], dict[Metric, SeedsByImages]] = {}

    def correct(
        self,
        runs: Sequence[tuple[Run, str]],
        split: str,
        metric: Metric,
        epoch: Epoch = "last",
    ) -> SeedsByImages:
        """Return whether each run, given with its protocol, has each image correct: ``(S, N)``.

        Raises:
            HarnessError: A run was not scored under these terms or on the images of the others, or
                its predictions are missing or damaged.
        """
        return np.stack([self._load(run, split, protocol, epoch)[metric] for run, protocol in runs])

    def labels(self, split: str) -> NDArray[np.int32]:
        """Return the labels ``(N,)`` of the images of a split that was loaded before."""
        return self._images[split].labels

    def _load(
        self, run: Run, split: str, protocol: str, epoch: Epoch
    ) -> dict[Metric, SeedsByImages]:
        key = (run.home, run.record.id, split, protocol, epoch)
        if key not in self._correct:
            stored = self._read(run.home, run.record, split, protocol, epoch)
            self._check_images(stored, run.record.data.tested.get(split), split)
            self._correct[key] = {metric: stored.correct(TOP_K[metric]) for metric in METRICS}
        return self._correct[key]

    def _check_images(self, stored: StoredPredictions, digest: str | None, split: str) -> None:
        """Refuse other files or labels, and other pixels under the same names."""
        new = _TestedImages(stored.files, stored.labels, digest)
        first = self._images.setdefault(split, new)
        if (
            digest != first.digest
            or not np.array_equal(new.files, first.files)
            or not np.array_equal(new.labels, first.labels)
        ):
            raise HarnessError(
                f"the runs were scored on different images or labels of {split}; "
                "run one of them again on the other's copy of the data"
            )
