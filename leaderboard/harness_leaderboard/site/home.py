"""What a home holds beside the records: class names, true labels, weights, test pictures."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from harness.errors import HarnessError
from harness.scores import Epoch
from harness.store.reading import read_plain
from harness.store.record import Data, ResultRecord, Score, digest
from harness.store.stages import stage_folder
from harness.studies.class_names import first_lemmas, training_samples
from harness.testing.predictions import StoredPredictions, load_predictions

if TYPE_CHECKING:
    from harness.samples import Samples

MOST = 4 << 30  # bytes of the weights of one stage
BINS = 20
WORST = 8  # confusions
SHOWN_FROM = frozenset({"synthweb"})  # data sets whose licence lets us pass pictures on: our own


class Confusion(NamedTuple):
    """Test pictures of one class that were taken for another; ``picture`` is one of them."""

    label: str
    taken_for: str
    pictures: int
    of: int
    picture: Path | None


class Weights(NamedTuple):
    """The weights of clean and of wrong entries in one stage: shares of each group by bin."""

    stage: str
    edges: tuple[float, ...]
    clean: tuple[float, ...]
    wrong: tuple[float, ...]


class Known(NamedTuple):
    """One data set as this home holds it; all empty if it does not."""

    names: tuple[str, ...]
    label: NDArray[np.int32]
    truth: NDArray[np.int32] | None
    root: Path | None


class Kept(NamedTuple):
    """What pages need of the predictions behind a run's headline score.

    ``correct`` has a bit for each picture, the first in the highest bit of the first byte;
    ``pictures`` is equal for runs that were tested on the same pictures and labels. A confusion is
    (label, taken for, how often, pictures of the label, the file of one).
    """

    correct: bytes
    images: int
    pictures: str
    confusions: tuple[tuple[int, int, int, int, str], ...]


def headline_score(record: ResultRecord) -> Score | None:
    """Return the score that stands for a run: the first split of test, val, ..., the own views.

    The average of the weights if the method keeps one, else the last epoch.
    """
    for split in dict.fromkeys(("test", "val", *(score.split for score in record.scores))):
        found = [score for score in record.scores if score.split == split]
        for epoch in ("averaged", "last"):
            of_epoch = [score for score in found if score.epoch == epoch]
            if of_epoch:
                return of_epoch[-1]
    return None


class HomeFiles:
    """The files of a home that pages draw on; each data set, stage and prediction is read once."""

    def __init__(self, home: Path) -> None:
        self._home = home
        self._kept: dict[str, Kept] = {}
        self._known: dict[tuple[str, str], Known] = {}
        self._weights: dict[str, Weights | None] = {}

    def known(self, data: Data) -> Known:
        """Return what this home knows about a record's data."""
        key = (data.edition, data.fingerprint)
        if key not in self._known:
            self._known[key] = self._read(data)
        return self._known[key]

    def _read(self, data: Data) -> Known:
        samples = training_samples(data, self._home) if self._has_data else None
        if samples is None:
            return Known((), np.empty(0, np.int32), None, None)
        root = samples.root if data.plugin in SHOWN_FROM else None
        names = first_lemmas(samples.classes)
        return Known(names, samples.label, _truth(data, samples, self._home), root)

    @cached_property
    def _has_data(self) -> bool:
        return (self._home / "data").is_dir()

    def load(
        self, home: Path, record: ResultRecord, split: str, protocol: str, epoch: Epoch
    ) -> StoredPredictions:
        """Read predictions as ``load_predictions`` does, and keep what pages need of them."""
        stored = load_predictions(home, record, split, protocol, epoch)
        score = headline_score(record)
        if score and (split, protocol, epoch) == (score.split, score.protocol, score.epoch):
            self._kept[record.id] = _kept(record, score, stored)
        return stored

    def kept(self, record: ResultRecord) -> Kept | None:
        """Return what predictions a run's page needs; None if they are missing or damaged."""
        score = headline_score(record)
        if score and record.id not in self._kept:
            with suppress(HarnessError):
                self.load(self._home, record, score.split, score.protocol, score.epoch)
        return self._kept.get(record.id)

    def confusions(self, record: ResultRecord) -> list[Confusion]:
        """Return the pairs of classes that were confused most often, worst first."""
        known, kept = self.known(record.data), self.kept(record)
        return [
            Confusion(
                class_name(known.names, label),
                class_name(known.names, taken_for),
                count,
                images,
                _picture(known.root, file),
            )
            for label, taken_for, count, images, file in (kept.confusions if kept else ())
        ]

    def weights(self, record: ResultRecord) -> list[Weights]:
        """Return the weights of every stage that has different ones, if the truth is known."""
        if not record.noise or self.known(record.data).truth is None:
            return []
        keys = {stage.name: stage.key for stage in record.stages}
        found = (
            self._of_stage(quality.stage, keys[quality.stage], record.data)
            for quality in record.noise
            if quality.stage in keys
        )
        return [weights for weights in found if weights is not None]

    def _of_stage(self, name: str, key: str, data: Data) -> Weights | None:
        if key not in self._weights:
            self._weights[key] = self._read_weights(key, self.known(data))
        weights = self._weights[key]
        return weights._replace(stage=name) if weights else None

    def _read_weights(self, key: str, known: Known) -> Weights | None:
        folder = stage_folder(self._home, key).path
        for name in ("chosen.npz", "samples.npz"):
            with suppress(OSError, ValueError, KeyError, zipfile.BadZipFile):
                content = io.BytesIO(read_plain(folder / name, MOST))
                with np.load(content, allow_pickle=False) as arrays:
                    return weights_of(arrays, known)
        return None


def weights_of(arrays: Mapping[str, NDArray[np.generic]], known: Known) -> Weights | None:
    """Return the weights of a stage by bin, 0 for what it left out; None if all are equal."""
    kept = (arrays["subset"] >= np.int8(0)) & (arrays["weight"] > np.float32(0))
    weight = np.where(kept, arrays["weight"], 0).astype(np.float64)
    if known.truth is None or weight.shape != known.truth.shape or np.ptp(weight) < 1e-6:
        return None
    top = float(np.quantile(weight, 0.995)) or float(weight.max())
    edges = np.linspace(0, top, BINS + 1)
    clean = known.truth == known.label
    shares = [
        np.histogram(np.minimum(weight[rows], top), edges)[0] / max(1, rows.sum())
        for rows in (clean, ~clean)
    ]
    return Weights("", tuple(edges.tolist()), *(tuple(one.tolist()) for one in shares))


def _kept(record: ResultRecord, score: Score, stored: StoredPredictions) -> Kept:
    classes, labels = record.data.classes, stored.labels.astype(np.int64)
    first = stored.classes[:, 0].astype(np.int64)
    wrong = np.flatnonzero(first != labels)
    pairs, places, counts = np.unique(
        labels[wrong] * classes + first[wrong], return_index=True, return_counts=True
    )
    images = np.bincount(labels, minlength=classes)
    confusions = tuple(
        (
            int(pairs[n]) // classes,
            int(pairs[n]) % classes,
            int(counts[n]),
            int(images[pairs[n] // classes]),
            str(stored.files[wrong[places[n]]]),
        )
        for n in np.argsort(-counts, kind="stable")[:WORST]
    )
    tested = record.data.tested.get(score.split)
    pictures = tested or digest([stored.files.tolist(), labels.tolist()])
    correct = np.packbits(first == labels).tobytes()
    return Kept(correct, len(labels), pictures[:16], confusions)


def class_name(names: Sequence[str], label: int) -> str:
    """Return the name of a class, or its number if names are not known."""
    return names[label] if label < len(names) else f"class {label}"


def _truth(data: Data, samples: Samples, home: Path) -> NDArray[np.int32] | None:
    """Ask the plugin that brought the data for the true labels."""
    from harness.assembly.activation import instance_of
    from harness.assembly.discovery import find_entry, find_plugins, load_plugin
    from harness.assembly.hooks import Active, Hooks
    from harness.spec import DataSpec, RunSpec

    try:
        entry = find_entry(data.plugin, find_plugins(), home)
        plugin = instance_of(data.plugin, load_plugin(entry), {})
        spec = RunSpec(plugin=data.plugin, data=DataSpec(name=data.plugin), home=home)
        hooks = Hooks([Active(data.plugin, plugin)], method=data.plugin)
        return hooks.load_truth(spec, samples)
    except HarnessError:
        return None


def _picture(root: Path | None, name: str) -> Path | None:
    """Return a test picture; names come from a record's predictions, so none may leave the root."""
    if root is None:
        return None
    path = (root / name).resolve()
    inside = path.is_relative_to(root.resolve()) and path.suffix.lower() in (".jpg", ".jpeg")
    return path if inside and path.is_file() else None
