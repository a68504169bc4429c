"""The samples of one split: numpy columns, image files, and the outputs of earlier stages."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray

from harness.errors import PluginError
from harness.picture_store import FileNames, PictureStore

if TYPE_CHECKING:
    import pandas as pd


EncodeTexts: TypeAlias = Callable[[str, Sequence[str]], NDArray[np.float32]]
"""Maps the id of a text encoder and N texts to ``(N, D)``."""
EncodePictures: TypeAlias = Callable[[str, NDArray[np.int64]], NDArray[np.float32]]
"""Maps the id of an encoder and rows ``(R,)`` to the vectors ``(R, D)`` of their pictures."""
Array = TypeVar("Array")
Item = TypeVar("Item")
Found = TypeVar("Found")
Divide: TypeAlias = Callable[[Callable[[Any], Any], Sequence[Any]], list[Any]]
"""Maps a function over items, divided between ranks and cores."""
Queries: TypeAlias = Mapping[str, Mapping[int, str]]
"""The words of every query, by source and number."""


class WebClass(NamedTuple):
    """One class of the vocabulary: its WordNet 3.0 id, its lemmas joined by ", ", its gloss."""

    wnid: str
    lemmas: str
    gloss: str = ""


class Text(NamedTuple):
    """The web texts of one image; empty if there are none."""

    title: str = ""
    description: str = ""
    tags: tuple[str, ...] = ()


class Named(Protocol):
    """An earlier stage: all that samples need of it is its name."""

    @property
    def name(self) -> str:
        """The name that the plan gives it."""
        ...


class Predictions(NamedTuple):
    """The predictions of a trained stage for every sample, without augmentation.

    ``classes`` and ``probabilities`` are ``(N, k)``, best first; ``of_label`` is ``(N,)``, the
    probability of the label as found.
    """

    classes: NDArray[np.int32]
    probabilities: NDArray[np.float32]
    of_label: NDArray[np.float32]


class StageOutputs(NamedTuple):
    """What later stages may see of an earlier one: ``features`` is ``(N, D)``, memory-mapped."""

    features: NDArray[np.float32]
    predictions: Predictions


class Targets(NamedTuple):
    """Per sample a short list of (class, weight) pairs: two ``(N, T)`` arrays.

    A weight of 0 marks an unused place. The classes are those of the data set, or places of
    ``Samples.target_names``.
    """

    classes: NDArray[np.int32]
    weights: NDArray[np.float32]


@dataclass(frozen=True, kw_only=True)
class Samples:
    """N samples of one split of one data set; a value: tricks return a new one.

    Its arrays are read-only views, since several values share them.

    Every column is an ``(N,)`` array. ``label`` is the label as found (it may be wrong), ``source``
    indexes ``source_names``, ``query`` is the number of one of that source's queries, ``rank`` the
    0-based position in its result list, ``weight`` multiplies the sample's loss and ``subset``
    names the part of a curriculum (0 first; -1 leaves the sample out of training).
    ``target_names`` is the vocabulary of ``targets`` if that is not ``classes``: keywords. A split
    that can be predicted, but not scored, has the label -1 throughout: see ``NoLabelsError``.

    Epoch tricks are given ``outputs``, those of the stage's networks as they are now for every
    sample, this network's first, and ``epoch``, the number of finished epochs.
    """

    split: str
    root: Path
    files: NDArray[np.str_] | FileNames  # relative to root
    label: NDArray[np.int32]
    source: NDArray[np.int8]
    query: NDArray[np.int32]
    rank: NDArray[np.int32]
    weight: NDArray[np.float32]
    subset: NDArray[np.int8]
    classes: tuple[WebClass, ...]
    source_names: tuple[str, ...] = ("google", "flickr")
    targets: Targets | None = None  # None: the label, with weight 1
    target_names: tuple[str, ...] = ()
    fingerprint: str = ""  # a digest of the split's lists, labels and pictures
    edition: str = ""  # "webvision1", "synthweb-small-v1": what shares a table
    store: PictureStore | None = field(default=None, compare=False, repr=False)  # None: root/files
    read_texts: Callable[[], list[Text]] | None = field(default=None, compare=False, repr=False)
    read_queries: Callable[[], Queries] | None = field(default=None, compare=False, repr=False)
    read_context: Callable[[], str] | None = field(default=None, compare=False, repr=False)
    seen: Mapping[str, StageOutputs] = field(default_factory=dict, compare=False, repr=False)
    outputs: tuple[StageOutputs, ...] = field(default=(), compare=False, repr=False)
    epoch: int = 0
    encode_texts: EncodeTexts | None = field(default=None, compare=False, repr=False)
    encode_pictures: EncodePictures | None = field(default=None, compare=False, repr=False)
    divide: Divide | None = field(default=None, compare=False, repr=False)

    def __post_init__(self) -> None:
        """Refuse columns of other shapes or types, labels outside the vocabulary, bad weights."""
        _check_columns(self)
        _protect(self)
        sizes = {name: len(getattr(self, name)) for name in COLUMNS}
        if len(set(sizes.values())) != 1:
            raise PluginError(f"the columns of Samples differ in length: {sizes}")
        trained = self.split in ("train", "clean")
        known = len(self.label) and (trained or self.has_labels)
        if known and not 0 <= self.label.min() <= self.label.max() < len(self.classes):
            raise PluginError(
                f"labels run from {self.label.min()} to {self.label.max()}, "
                f"but there are {len(self.classes)} classes"
            )
        if not np.all(np.isfinite(self.weight)) or (len(self) and self.weight.min() < 0):
            raise PluginError("sample weights must be finite and not negative")
        if self.target_names and self.targets is None:
            raise PluginError("Samples with target_names need targets among them")
        if self.targets is not None:
            _check_targets(self.targets, len(self), self.num_outputs)

    def __len__(self) -> int:
        return len(self.label)

    @property
    def has_labels(self) -> bool:
        """Whether the labels are known; otherwise all are -1."""
        return not len(self.label) or bool((self.label != -1).any())

    @property
    def num_classes(self) -> int:
        """K, the number of classes of the vocabulary."""
        return len(self.classes)

    @property
    def num_outputs(self) -> int:
        """The number of classes that ``targets`` are among: logits of the network."""
        return len(self.target_names) or self.num_classes

    def assign(self, **columns: Any) -> Samples:
        """Return a copy with some fields replaced; what is not named is shared."""
        return replace(self, **columns)

    def features(self, stage: Named) -> NDArray[np.float32]:
        """Features ``(N, D)`` of the trained ``stage``, which must be in ``sees`` of this one."""
        return self._outputs(stage.name).features

    def predictions(self, stage: Named) -> Predictions:
        """Predictions of the trained ``stage``, which must be in ``sees`` of this one."""
        return self._outputs(stage.name).predictions

    def context_fingerprint(self) -> str:
        """Return ``fingerprint`` with a digest of the texts, queries and glosses, worked out now.

        Data that bring none have the one fingerprint for both.
        """
        around = self.read_context() if self.read_context else ""
        return f"{self.fingerprint} {around}".strip()

    def texts(self) -> list[Text]:
        """Return title, description and tags of every sample, read on demand."""
        return self.read_texts() if self.read_texts else [Text()] * len(self)

    def searched(self) -> list[str]:
        """Return the words of the query that found every sample, read on demand; "" if unknown."""
        if self.read_queries is None or (self.query < 0).all():
            return [""] * len(self)
        queries = self.read_queries()
        words = [queries.get(name, {}) for name in self.source_names]
        found = zip(self.source.tolist(), self.query.tolist(), strict=True)
        return [words[source].get(query, "") for source, query in found]

    def encode(self, encoder: str, texts: Sequence[str]) -> NDArray[np.float32]:
        """Encode ``N`` texts by the run's text encoder of this id: ``(N, D)``, rows of length 1.

        Raises PluginError if these samples have no text encoders, HarnessError if ``encoder`` is
        unknown or not installed.
        """
        if self.encode_texts is None:
            raise PluginError(
                f"text encoder {encoder!r} was asked for, but these samples have none"
            )
        return read_only(self.encode_texts(encoder, tuple(texts)))

    def picture_vectors(self, encoder: str, rows: NDArray[np.int64]) -> NDArray[np.float32]:
        """Encode the pictures of the rows ``(R,)`` as ``encoder`` does: ``(R, D)``, of length 1.

        Their centre squares go through the encoder, divided between the ranks, which must all ask
        for the same rows. The vectors are in the space of ``encode`` with the same id.

        Raises PluginError if these samples have no encoders or no trick names this one in
        ``picture_encoder``, HarnessError if it is unknown, not installed or encodes texts only.
        """
        if self.encode_pictures is None:
            raise PluginError(
                f"encoder {encoder!r} was asked for pictures, but these samples have none"
            )
        return read_only(self.encode_pictures(encoder, rows))

    def map(self, work: Callable[[Item], Found], items: Sequence[Item]) -> list[Found]:
        """Return ``work(item)`` for every item, in order: for work on each class, for example.

        In a run, the ranks divide the items, and each of them works on several at once. So the
        result of a call must not depend on other calls, and every rank must be given the same
        items.
        """
        if self.divide is None:
            return [work(item) for item in items]
        return self.divide(work, items)

    def frame(self) -> pd.DataFrame:
        """Return the columns as a pandas table."""
        import pandas as pd

        table: pd.DataFrame = pd.DataFrame(
            {name: np.asarray(getattr(self, name)) for name in COLUMNS}
        )
        return table

    def _outputs(self, stage: str) -> StageOutputs:
        if stage not in self.seen:
            raise PluginError(
                f"stage {stage!r} cannot be seen here (seen: {', '.join(self.seen) or 'none'}); "
                f"add it to sees= of the stage whose trick needs it"
            )
        return self.seen[stage]


def read_only(array: Array) -> Array:
    """Return a view that cannot be written to; other values are returned unchanged."""
    if isinstance(array, np.ndarray) and array.flags.writeable:
        array = array.view()
        array.flags.writeable = False
    return array


def _protect(samples: Samples) -> None:
    """Put read-only views in the place of all arrays, and of the mapping of what was seen."""
    protected: dict[str, Any] = {name: read_only(getattr(samples, name)) for name in COLUMNS}
    if samples.targets is not None:
        classes, weights = samples.targets
        protected["targets"] = Targets(read_only(classes), read_only(weights))
    if not isinstance(samples.seen, MappingProxyType):
        seen = {name: _protected_sight(sight) for name, sight in samples.seen.items()}
        protected["seen"] = MappingProxyType(seen)
    protected["outputs"] = tuple(map(_protected_sight, samples.outputs))
    for name, value in protected.items():
        object.__setattr__(samples, name, value)  # as a frozen dataclass sets its own fields


def _protected_sight(sight: StageOutputs) -> StageOutputs:
    classes, probabilities, of_label = sight.predictions
    predictions = Predictions(read_only(classes), read_only(probabilities), read_only(of_label))
    return StageOutputs(read_only(sight.features), predictions)


def _check_columns(samples: Samples) -> None:
    """Refuse columns that are not ``(N,)`` arrays of the declared types."""
    for name, dtype in DTYPES.items():
        column = getattr(samples, name)
        if not isinstance(column, np.ndarray) or column.dtype != dtype:
            kind = column.dtype if isinstance(column, np.ndarray) else type(column).__name__
            raise PluginError(
                f"{name} of Samples must be an array of {dtype}, not {kind}; "
                f"convert it with np.asarray({name}, np.{dtype})"
            )
        if column.ndim != 1:
            raise PluginError(f"{name} of Samples must be (N,), not {column.shape}")


def _check_targets(targets: Targets, size: int, outputs: int) -> None:
    """Refuse targets that no network of ``outputs`` logits can be trained on."""
    classes, weights = targets
    for name, array, dtype in (("classes", classes, "int32"), ("weights", weights, "float32")):
        if not isinstance(array, np.ndarray) or array.dtype != dtype:
            kind = getattr(array, "dtype", type(array).__name__)
            raise PluginError(f"{name} of targets must be an array of {dtype}, not {kind}")
    if classes.shape != weights.shape or classes.ndim != 2 or len(classes) != size:
        raise PluginError(
            f"targets are {classes.shape} classes and {weights.shape} weights; "
            f"both must be ({size}, T)"
        )
    if classes.size and not 0 <= classes.min() <= classes.max() < outputs:
        raise PluginError(
            f"target classes run from {classes.min()} to {classes.max()}, but there are {outputs}"
        )
    if not np.all(np.isfinite(weights)) or (weights.size and weights.min() < 0):
        raise PluginError("target weights must be finite and not negative")


def rows_by_class(samples: Samples) -> Iterator[NDArray[np.int64]]:
    """Yield the rows of every class, label as found, in rising order.

    Samples that were left out (subset -1) and classes without samples are skipped.
    """
    kept = np.flatnonzero(samples.subset >= 0)
    by_class = kept[np.argsort(samples.label[kept], kind="stable")]
    starts = np.flatnonzero(np.diff(samples.label[by_class])) + 1
    if len(by_class):
        yield from np.split(by_class, starts)


COLUMNS = ("files", "label", "source", "query", "rank", "weight", "subset")
DTYPES = {
    "label": "int32",
    "source": "int8",
    "query": "int32",
    "rank": "int32",
    "weight": "float32",
    "subset": "int8",
}
