"""The record of one run: its inputs, results and cost, and how it is printed."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from html import escape
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue

from harness.scores import Epoch
from harness.terminal import visible

HEADERS = ("split", "protocol", "epoch", "top-1", "top-5", "top-1 class mean")
ALIGN = ("left",) * 3 + ("right",) * 3

Share = Annotated[float, Field(ge=0, le=1)]


class _Value(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Knob(_Value):
    """One effective knob of the method and the origin of its value."""

    value: str
    origin: str  # "published", "assumed" or "command line"
    source: str  # deck and slide, or why it was assumed


class Plugin(_Value):
    """One active plugin: its distribution, version and source."""

    name: str
    distribution: str
    version: str
    source_sha256: str


class EffectiveStage(_Value):
    """One stage as trained: every value with its origin, and every trick."""

    name: str
    key: str  # the digest of everything that decides its result
    values: dict[str, str]
    origins: dict[str, str]
    tricks: dict[str, tuple[str, ...]]
    history: tuple[dict[str, float], ...]  # per epoch: loss, val_top1, val_top5
    broken_images: int = 0
    ranks: tuple[int, ...] = (1,)  # number that trained it, one entry for each change


class Data(_Value):
    """The data of the run. Rows of different editions never share a table.

    ``fingerprint`` identifies the training images with their lists, ``tested`` those of each split
    that was scored. ``asked`` is how --data spells it, without folders: "synthweb:tiny".
    """

    plugin: str
    edition: str
    fingerprint: str
    classes: int
    train_samples: int
    tested: dict[str, str] = {}
    asked: str = ""

    def scored_on(self, split: str) -> str:
        """Return a digest of the training data and the images of a scored split."""
        if split not in self.tested:
            return self.fingerprint
        return digest([self.fingerprint, self.tested[split]])


class Score(_Value):
    """Accuracy of one set of weights on one split under one testing protocol, as shares.

    ``top1`` and ``top5`` are flat means over images; the ``_class_mean`` ones first average within
    each class. ``per_class_top1`` and ``per_class_top5`` are in label order; null if a class
    has no image.
    """

    split: str
    protocol: str  # "1 view", "10 views", ...
    epoch: Epoch
    images: int
    top1: Share
    top5: Share
    top1_class_mean: Share
    top5_class_mean: Share
    per_class_top1: tuple[Share | None, ...] = ()
    per_class_top5: tuple[Share | None, ...] = ()
    predictions_sha256: str = ""


class NoiseQuality(_Value):
    """How well a stage's weights separate clean labels from wrong ones, if the truth is known.

    ``auc`` is the area under the ROC curve of the weights (0 for what was left out), null if
    all weights are equal. ``kept`` is the share of the entries with a weight above 0; precision
    and recall are of clean entries among those kept. ``rare_clean_lost`` is the share of the clean
    entries of the rarest quarter of the classes that were left out.
    """

    stage: str
    auc: Share | None
    kept: Share
    precision: Share | None
    recall: Share | None
    rare_clean_lost: Share | None
    clean: Share


class Cost(_Value):
    """The cost of the run. Reused stages count with the cost of their training."""

    wall_seconds: float
    device_seconds: float
    stage_seconds: dict[str, float]
    images_per_second: dict[str, float]
    peak_memory_bytes: int
    hardware: dict[str, str]
    versions: dict[str, str]
    engine: str
    created: str  # ISO 8601, UTC


class ResultRecord(_Value):
    """One run. Everything except ``cost`` is the same if the run was interrupted."""

    schema_version: Literal[2] = 2
    id: str
    decides: dict[str, JsonValue] = {}  # everything that decides the run; the id is its digest
    plugin: str
    label: str  # the method and the knobs that the user set: "malong_curriculum model=A"
    knobs: dict[str, Knob]
    plugins: tuple[Plugin, ...]
    without: tuple[str, ...]
    data: Data
    seed: int
    full_size: bool  # no profile and no override shrank the recipe
    stages: tuple[EffectiveStage, ...]
    members: tuple[str, ...]  # the stages that were tested together
    combine: str  # how their predictions were combined; empty for one stage
    scores: tuple[Score, ...]
    noise: tuple[NoiseQuality, ...]
    extra: dict[str, dict[str, float]] = {}  # what plugins measured: by plugin, by metric
    commit: str
    dirty: bool
    cost: Cost

    def __repr__(self) -> str:
        """Return what ``harness run`` prints, without the path."""
        return record_text(self)

    def __str__(self) -> str:
        """Return the same."""
        return record_text(self)

    def _repr_html_(self) -> str:
        return record_html(self)

    def score(self, split: str, protocol: str, epoch: Epoch = "last") -> Score | None:
        """Return the score under these terms, or None if it was not measured."""
        for score in self.scores:
            if (score.split, score.protocol, score.epoch) == (split, protocol, epoch):
                return score
        return None


def record_id(plugin: str, seed: int, decides: Mapping[str, Any]) -> str:
    """Return a run's id: a readable name and a digest of everything that decides it."""
    name = re.sub(r"[^\w.-]", "_", plugin)  # a plugin's name need not be a file name
    return f"{name}-seed{seed}-{digest(decides)[:16]}"


def digest(value: object) -> str:
    """Return the sha256 of a JSON-able value, independent of the order of keys."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()


def record_text(record: ResultRecord) -> str:
    """Return what ``harness run`` prints at its end, without the record's path."""
    return "\n".join([_title(record), _scores(record, "simple"), *_notes(record)])


def record_html(record: ResultRecord) -> str:
    """Return the same as HTML, with all text escaped."""
    notes = "".join(f"<p>{escape(line)}</p>\n" for line in _notes(record))
    return f"<p>{escape(_title(record))}</p>\n{_scores(record, 'html')}\n{notes}"


def _title(record: ResultRecord) -> str:
    return visible(f"{record.label}, seed {record.seed}, on {record.data.edition}")


def _scores(record: ResultRecord, style: str) -> str:
    from tabulate import tabulate

    rows = [
        (
            visible(score.split),
            visible(score.protocol),
            score.epoch,
            f"{score.top1:.2%}",
            f"{score.top5:.2%}",
            f"{score.top1_class_mean:.2%}",
        )
        for score in record.scores
    ]
    return str(tabulate(rows, HEADERS, tablefmt=style, colalign=ALIGN if rows else None))


def _notes(record: ResultRecord) -> Iterator[str]:
    yield from map(_noise, record.noise)
    for plugin, metrics in record.extra.items():
        values = (f"{visible(name)} {value:.4g}" for name, value in metrics.items())
        yield f"{visible(plugin)}: {', '.join(values)}"
    yield f"training took {record.cost.wall_seconds:.0f} s ({visible(record.cost.engine)})"


def _noise(noise: NoiseQuality) -> str:
    auc = "-" if noise.auc is None else f"{noise.auc:.3f}"
    return (
        f"noise handling of {visible(noise.stage)}: {noise.kept:.0%} kept, of them "
        f"{noise.precision or 0:.1%} clean (of all: {noise.clean:.1%}), AUC {auc}"
    )
