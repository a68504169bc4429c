"""Verify records: score their stored predictions again and compare with what they say."""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from harness.errors import HarnessError
from harness.samples import Samples
from harness.store.consistency import ROUNDING
from harness.store.finished import predictions
from harness.store.record import ResultRecord, Score, digest
from harness.store.record_files import read_altered, read_record
from harness.testing.metrics import accuracy
from harness.testing.predictions import KEPT_CLASSES, StoredPredictions, read_predictions

NEAR = 0.01  # two scorings on a GPU may differ by a picture or two

PROVED = (
    "proved: every figure of a record that is fine follows from its kept predictions, and neither "
    "was changed since they were written"
)
NOT_PROVED = (
    "not proved: who made the predictions, and how; predictions, record and digests can be made up "
    "together, and only running it again tells"
)
WITHOUT_DATA = "not proved without --data: that pictures and labels are those of the data set"


@dataclass
class RecordCheck:
    """What is wrong with one record; nothing if ``problems`` is empty."""

    path: Path
    record: ResultRecord | None = None
    problems: list[str] = field(default_factory=list)
    pictures: dict[str, str] = field(default_factory=dict)  # by split: digest of files and labels
    answers: str = ""  # digest of all predictions

    @property
    def name(self) -> str:
        """The record's id, else its file's name."""
        return self.record.id if self.record else self.path.name


def verify(paths: Iterable[Path], data: Mapping[str, Samples] | None = None) -> list[RecordCheck]:
    """Verify every record, and that they do not contradict each other.

    ``data`` are the splits that they ran on, by name; without it, pictures and labels are not
    compared with the data set.
    """
    checks = []
    for path in paths:
        try:
            checks.append(verify_record(path, read_record(path), data))
        except HarnessError as error:
            checks.append(RecordCheck(path, problems=[str(error), *_altered(path, data)]))
    compare(checks)
    return checks


def _altered(path: Path, data: Mapping[str, Samples] | None) -> list[str]:
    """Return what else is wrong with a record that was refused, as far as it can be read."""
    record = read_altered(path)
    return verify_record(path, record, data).problems if record else []


def compare(checks: Sequence[RecordCheck]) -> None:
    """Add the problems that only several records together show."""
    _compare_seeds(checks)
    _compare_pictures(checks)


def verify_record(
    path: Path, record: ResultRecord, data: Mapping[str, Samples] | None = None
) -> RecordCheck:
    """Score the predictions of one record again; it was read from ``path``."""
    check = RecordCheck(path, record)
    if not record.decides:
        check.problems.append("it does not say what its id was made of")
    answers = []
    for score in record.scores:
        terms = f"{score.split}, {score.protocol}, {score.epoch} epoch"
        try:
            kept = read_predictions(*predictions(path.with_suffix(""), score))
            found = [*_unsound(kept, record.data.classes), *_differences(kept, score, record)]
            pictures = _digest_of(kept.files.tolist(), kept.labels.tolist())
            if check.pictures.setdefault(score.split, pictures) != pictures:
                found.append("its pictures are not those of the split's other scores")
            answers.append(_digest_of(kept.classes.tolist(), np.asarray(kept.probabilities)))
            found += _against_data(kept, (data or {}).get(score.split))
        except HarnessError as error:
            found = [str(error)]
        check.problems += [f"{terms}: {problem}" for problem in found]
    check.answers = digest(answers) if answers else ""
    check.problems += _history(record)
    train = (data or {}).get("train")
    if train is not None and train.fingerprint != record.data.fingerprint:
        check.problems.append(
            f"it was trained on data of fingerprint {record.data.fingerprint[:12]}, and --data has "
            f"{train.fingerprint[:12]}"
        )
    return check


def _unsound(kept: StoredPredictions, classes: int) -> Iterator[str]:
    """Yield what cannot be the predictions of a network."""
    size, width = len(kept.labels), min(KEPT_CLASSES, classes)
    shapes = [kept.files.shape, kept.labels.shape, kept.classes.shape]
    if shapes != [(size,), (size,), (size, width)] or kept.probabilities.shape != (size, width):
        raise HarnessError(f"its predictions have the shapes {shapes}")
    for name, column in (("labels", kept.labels), ("classes", kept.classes)):
        if not np.issubdtype(column.dtype, np.integer):
            raise HarnessError(f"its {name} are not whole numbers")
        if size and not 0 <= column.min() <= column.max() < classes:
            raise HarnessError(f"its {name} are outside of 0 to {classes - 1}")
    if (np.diff(np.sort(kept.classes, axis=1), axis=1) == 0).any():
        yield "a class is predicted twice for one picture"
    shares = kept.probabilities.astype(np.float64)
    if not (np.isfinite(shares).all() and (shares >= 0).all() and (shares <= 1).all()):
        yield "its probabilities are not between 0 and 1"
    elif (np.diff(shares, axis=1) > 0).any() or (shares.sum(axis=1) > 1 + NEAR).any():
        yield "its probabilities are not those of the likeliest classes, best first"


def _differences(kept: StoredPredictions, score: Score, record: ResultRecord) -> Iterator[str]:
    """Yield every figure that does not follow from the predictions."""
    if len(kept.labels) != score.images:
        yield f"it says {score.images} images, and {len(kept.labels)} were predicted"
        return
    for k in (1, 5):
        again = accuracy(kept.classes, kept.labels, record.data.classes, k)
        for name, said, found in (
            (f"top{k}", getattr(score, f"top{k}"), again.flat),
            (f"top{k}_class_mean", getattr(score, f"top{k}_class_mean"), again.class_mean),
        ):
            if abs(said - found) > ROUNDING:
                yield f"{name} is {said:.6f}, and its predictions give {found:.6f}"
        said_by_class = np.array(
            [np.nan if one is None else one for one in getattr(score, f"per_class_top{k}")]
        )
        if said_by_class.shape != again.per_class.shape or not np.allclose(
            said_by_class, again.per_class, rtol=0, atol=ROUNDING, equal_nan=True
        ):
            yield f"per_class_top{k} is not what its predictions give"


def _history(record: ResultRecord) -> Iterator[str]:
    """Compare the last and the best epoch's score on val with the history of the training."""
    by_name = {stage.name: stage for stage in record.stages}
    if len(record.members) != 1 or record.members[0] not in by_name:
        return
    noted = [one.get("val_top1") for one in by_name[record.members[0]].history]
    known = [one for one in noted if one is not None]
    if not known or len(known) != len(noted):
        return
    for epoch, while_training in (("last", known[-1]), ("best", max(known))):
        score = record.score("val", "1 view", "last" if epoch == "last" else "best")
        if score and abs(score.top1 - while_training) > NEAR + 1 / score.images:
            yield (
                f"val, 1 view, {epoch} epoch: top1 is {score.top1:.4f}, and {while_training:.4f} "
                "is in its history"
            )


def _against_data(kept: StoredPredictions, samples: Samples | None) -> Iterator[str]:
    if samples is None:
        return
    if not np.array_equal(kept.files, np.asarray(samples.files)):
        yield "its pictures are not those of the data set's split"
    elif not np.array_equal(kept.labels, samples.label):
        yield "its labels are not those of the data set's split"


def _compare_seeds(checks: Sequence[RecordCheck]) -> None:
    """Name runs of different seeds with equal predictions: one is a copy."""
    by_answers: dict[str, list[RecordCheck]] = defaultdict(list)
    for check in checks:
        if check.record and check.answers:
            by_answers[check.answers].append(check)
    for same in by_answers.values():
        for check in same:
            others = [one.name for one in same if _seed(one) != _seed(check)]
            if others:
                check.problems.append(
                    f"its predictions are those of {', '.join(others)}, of another seed: one was "
                    "copied"
                )


def _compare_pictures(checks: Sequence[RecordCheck]) -> None:
    """Name runs on the same data whose pictures or labels are not those of most others."""
    found: dict[str, Counter[str]] = defaultdict(Counter)
    terms: list[tuple[RecordCheck, str, str, str]] = []
    for check in checks:
        for split, pictures in check.pictures.items():
            if check.record:
                data = digest([check.record.decides.get("data"), split])
                found[data][pictures] += 1
                terms.append((check, split, data, pictures))
    for check, split, data, pictures in terms:
        if found[data].most_common(1)[0][1] > found[data][pictures]:
            check.problems.append(
                f"its pictures or labels of {split} are not those of the other runs on this data"
            )


def _seed(check: RecordCheck) -> int | None:
    return check.record.seed if check.record else None


def _digest_of(*columns: object) -> str:
    made = hashlib.sha256()
    for column in columns:
        made.update(column.tobytes() if isinstance(column, np.ndarray) else repr(column).encode())
    return made.hexdigest()
