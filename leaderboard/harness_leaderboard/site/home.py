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
from harness.store.reading import read_plain
from harness.store.record import Data, ResultRecord, Score
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


class HomeFiles:
    """The files of a home that pages draw on; each data set and stage is read once."""

    def __init__(self, home: Path) -> None:
        self._home = home
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

    def predictions(self, record: ResultRecord, score: Score) -> StoredPredictions | None:
        """Return the predictions behind a score, or None if they are missing or damaged."""
        try:
            return load_predictions(self._home, record, score.split, score.protocol, score.epoch)
        except HarnessError:
            return None

    def confusions(self, record: ResultRecord, kept: StoredPredictions) -> list[Confusion]:
        """Return the pairs of classes that were confused most often, worst first."""
        known, classes = self.known(record.data), record.data.classes
        first = kept.classes[:, 0].astype(np.int64)
        wrong = np.flatnonzero(first != kept.labels)
        pairs, places, counts = np.unique(
            kept.labels[wrong] * np.int64(classes) + first[wrong],
            return_index=True,
            return_counts=True,
        )
        images = np.bincount(kept.labels, minlength=classes)
        worst = sorted(range(len(pairs)), key=lambda n: (-counts[n], pairs[n]))[:WORST]
        return [
            Confusion(
                class_name(known.names, int(pairs[n]) // classes),
                class_name(known.names, int(pairs[n]) % classes),
                int(counts[n]),
                int(images[int(pairs[n]) // classes]),
                _picture(known.root, str(kept.files[wrong[places[n]]])),
            )
            for n in worst
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
