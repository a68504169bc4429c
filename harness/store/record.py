"""The record of one run, with its inputs, results and cost: one immutable JSON file."""

from __future__ import annotations

import errno
import hashlib
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue, ValidationError

from harness.errors import HarnessError
from harness.store.consistency import contradictions
from harness.store.files import write_text
from harness.store.reading import read_plain
from harness.store.record_text import record_html, record_text
from harness.store.seals import DamagedError, sealed_record, unsealed_record
from harness.terminal import note

SCHEMA_VERSION: Literal[2] = 2
MAX_RECORD_BYTES = 64 << 20  # records of other people are read too

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
    that was scored.
    """

    plugin: str
    edition: str
    fingerprint: str
    classes: int
    train_samples: int
    tested: dict[str, str] = {}

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
    epoch: Literal["last", "best"]  # best: by top-1 on val
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

    def score(
        self, split: str, protocol: str, epoch: Literal["last", "best"] = "last"
    ) -> Score | None:
        """Return the score under these terms, or None if it was not measured."""
        for score in self.scores:
            if (score.split, score.protocol, score.epoch) == (split, protocol, epoch):
                return score
        return None


def write_record(folder: Path, record: ResultRecord) -> Path:
    """Write ``<id>.json`` into ``folder``, whole or not at all; return its path.

    The file is canonical JSON that holds its own digests: see ``sealed_record``.
    """
    path = folder / f"{record.id}.json"
    write_text(path, sealed_record(record.model_dump(mode="json")))
    return path


class EarlierRecordError(HarnessError):
    """A record of an earlier schema, which has no digest."""


def read_record(path: Path) -> ResultRecord:
    """Read and check one record.

    Raises:
        DamagedError: It was altered, contradicts itself or has another record's name.
        HarnessError: It has another version, cannot be read or is not a record.
    """
    try:
        data = read_plain(path, MAX_RECORD_BYTES)
    except OSError as error:
        if error.errno == errno.EFBIG:
            most = MAX_RECORD_BYTES >> 20
            raise DamagedError(f"{path} is larger than {most} MiB: no record") from error
        raise HarnessError(f"cannot read {path}: {error.strerror}") from error
    try:
        record = ResultRecord.model_validate_json(unsealed_record(data))
    except DamagedError as error:
        _refuse_other_versions(path, data)
        raise DamagedError(f"{path} was altered after it was written: {error}") from error
    except ValidationError as error:
        _refuse_other_versions(path, data)
        first = error.errors(include_url=False)[0]
        place = ".".join(str(part) for part in first["loc"]) or "the file"
        raise DamagedError(
            f"{path} is not a result record of schema {SCHEMA_VERSION}: {place}: {first['msg']}"
        ) from error
    if path.stem != record.id:
        raise DamagedError(f"{path} holds the record {record.id}, so it is a copy under a new name")
    decides = record.decides
    identity = record_id(record.plugin, record.seed, decides) if decides else record.id
    for problem in contradictions(record, identity):
        raise DamagedError(f"{path} was altered: it contradicts itself: {problem}")
    return record


def read_altered(path: Path) -> ResultRecord | None:
    """Return what a record says that ``read_record`` refuses, or None if it is not a record."""
    try:
        content = json.loads(read_plain(path, MAX_RECORD_BYTES))
        content.pop("digest", None)
        content["cost"].pop("digest", None)
        return ResultRecord.model_validate_json(json.dumps(content))
    except (OSError, ValueError, AttributeError, KeyError, TypeError, RecursionError):
        return None


def _refuse_other_versions(path: Path, data: bytes) -> None:
    try:
        content = json.loads(data)
    except (ValueError, RecursionError):
        return
    version = content.get("schema_version") if isinstance(content, dict) else None
    if version == 1:
        raise EarlierRecordError(
            f"{path} is a record of schema 1, which an earlier version wrote without a digest; "
            "run it again"
        )
    if isinstance(version, int) and version > SCHEMA_VERSION:
        raise HarnessError(
            f"{path} is a record of schema {version}, which a later version wrote; this one reads "
            f"schema {SCHEMA_VERSION}: update the harness"
        )


def read_records(folder: Path) -> tuple[list[ResultRecord], list[str]]:
    """Read every record of ``folder``, oldest first; the second list names those left out."""
    records, problems, earlier = [], [], 0
    for path in sorted(folder.glob("*.json")):
        try:
            records.append(read_record(path))
        except EarlierRecordError:
            earlier += 1
        except HarnessError as error:
            problems.append(str(error))
    if earlier:
        problems.append(
            f"{earlier} of the records in {folder} are of schema 1, which an earlier version wrote "
            "without a digest: run them again, or remove them"
        )
    return sorted(records, key=lambda record: (record.cost.created, record.id)), problems


def known_records(folder: Path) -> list[ResultRecord]:
    """Read every record of ``folder``, oldest first; report those left out on standard error."""
    records, problems = read_records(folder)
    for problem in problems:
        note(f"left out: {problem}")
    return records


def record_id(plugin: str, seed: int, decides: Mapping[str, Any]) -> str:
    """Return a run's id: a readable name and a digest of everything that decides it."""
    name = re.sub(r"[^\w.-]", "_", plugin)  # a plugin's name may be no file name
    return f"{name}-seed{seed}-{digest(decides)[:16]}"


def digest(value: object) -> str:
    """Return the sha256 of a JSON-able value, independent of the order of keys."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()
