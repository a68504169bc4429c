"""The WebVision challenge's file of predictions: written, checked line by line, and scored.

A zip with one ``predictions.txt``: a line for each test picture, its name and five labels that
count from 0, the likeliest first.

**Source:** the challenge's pages of 2018 to 2020 and the development kit. The kit takes any white
space and checks that each line has labels and that there are as many names as pictures; it does not
check the labels' range, labels that a line repeats, or which names are missing, doubled or other.
"""

from __future__ import annotations

import io
import os
import zipfile
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, NamedTuple

import numpy as np
from numpy.typing import NDArray

from harness.errors import HarnessError
from harness.samples import Samples
from harness.store.files import atomic_write
from harness.store.reading import open_plain, read_range
from harness.submissions.unpack import check_kind, open_zip
from harness.terminal import visible
from harness.testing.metrics import Accuracy, accuracy
from harness.testing.predictions import StoredPredictions

TEXT = "predictions.txt"
GUESSES = 5
MOST = 64 << 20  # bytes of the text; WebVision 2.0's test has 294,099 lines of about 40 bytes
FIRST_DAY = (1980, 1, 1, 0, 0, 0)
SHOWN = 80  # characters of a name or label


class Answers(NamedTuple):
    """N lines: pictures' names, their line numbers from 1, and labels ``(N, 5)``, best first."""

    names: list[str]
    lines: list[int]
    classes: NDArray[np.int32]


class ChallengeScore(NamedTuple):
    """The accuracies of a file of predictions, flat and class mean, over ``images`` pictures."""

    images: int
    top1: Accuracy
    top5: Accuracy


def write_challenge(path: Path, kept: StoredPredictions) -> None:
    """Write predictions as the challenge's zip, sorted by name.

    Raises HarnessError if a picture's name cannot be written in it, or there are not five guesses.
    """
    if kept.classes.shape[1] != GUESSES:
        raise HarnessError(
            f"the challenge asks for {GUESSES} labels, and the data set has {kept.classes.shape[1]}"
        )
    names = picture_names(kept.files.tolist())
    spaced = next((name for name in names if len(name.split()) != 1), None)
    if spaced is not None:
        raise HarnessError(f"{spaced!r} has a blank, so it cannot be written in {TEXT}")
    order = sorted(range(len(names)), key=names.__getitem__)
    lines = [f"{names[row]}\t{' '.join(map(str, kept.classes[row].tolist()))}\n" for row in order]

    def write(file: IO[bytes]) -> None:
        with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as whole:
            info = zipfile.ZipInfo(TEXT, FIRST_DAY)
            info.compress_type, info.external_attr = zipfile.ZIP_DEFLATED, 0o644 << 16
            whole.writestr(info, "".join(lines))

    atomic_write(path, write)


def picture_names(files: Sequence[str]) -> list[str]:
    """Return the names that a file of predictions has for pictures: without folders if they differ.

    >>> picture_names(["test_images_256/test000001.jpg"])
    ['test000001.jpg']
    """
    names = [file.rpartition("/")[2] for file in files]
    return names if len(set(names)) == len(names) else list(files)


def challenge_text(path: Path) -> bytes:
    """Return ``predictions.txt`` of a zip, or the content of a text file.

    Raises HarnessError if it cannot be read, is too large, or the zip holds anything else.
    """
    try:
        descriptor, size = open_plain(path, MOST)
    except OSError as error:
        raise HarnessError(f"{path} cannot be read: {error.strerror or error}") from error
    with os.fdopen(descriptor, "rb") as file:
        if path.suffix == ".txt":
            return read_range(file.fileno(), size, 0, str(path))
        try:
            with open_zip(file, size) as whole:
                return _only_member(whole)
        except HarnessError as error:
            raise HarnessError(f"{path}: {error}; the challenge takes a zip of {TEXT}") from error


def _only_member(whole: zipfile.ZipFile) -> bytes:
    names = []
    for info in whole.infolist():
        check_kind(info)
        names.append(info.filename)
    if names != [TEXT]:
        others = visible([name for name in names if name != TEXT] or names, SHOWN)
        raise HarnessError(f"it must hold {TEXT} and nothing else, but it holds {others}")
    size = whole.infolist()[0].file_size
    if size > MOST:
        raise HarnessError(f"{TEXT} has {size} bytes, more than {MOST}")
    return whole.read(TEXT)


def read_answers(text: bytes, classes: int) -> tuple[Answers, list[str]]:
    """Read the lines of ``predictions.txt``; the second value names what is wrong, by line.

    The answers have the lines that are right. ``classes`` is the number of classes.
    """
    found = Answers([], [], np.empty((0, GUESSES), np.int32))
    problems: list[str] = []
    met: dict[str, int] = {}
    rows: list[list[int]] = []
    for number, line in enumerate(io.BytesIO(text), 1):
        words = line.split()
        reason = _reason(words, classes)
        name = words[0].decode("utf-8", "surrogateescape") if words else ""
        if not reason and name in met:
            reason = f"{visible(name, SHOWN)} has two lines, the first is line {met[name]}"
        if reason:
            problems.append(f"line {number}: {reason}")
            continue
        met[name] = number
        found.names.append(name)
        found.lines.append(number)
        rows.append([int(word) for word in words[1:]])
    if not text:
        problems.append("there are no lines")
    elif not text.endswith(b"\n"):
        problems.append("the last line has no line end: it may be cut short")
    return found._replace(classes=np.array(rows, np.int32).reshape(-1, GUESSES)), problems


def _reason(words: list[bytes], classes: int) -> str:
    """Return what is wrong with the words of one line; nothing if it is right."""
    if not words:
        return "it is empty"
    labels = words[1:]
    if len(labels) != GUESSES:
        return f"it has {len(labels)} labels, not {GUESSES}"
    for label in labels:
        shown = visible(label.decode("utf-8", "replace"), SHOWN)
        if not label.isdigit() or len(label) > len(str(classes)):
            return f"{shown!r} is not a label from 0 to {classes - 1}"
        if int(label) >= classes:
            hint = "; labels count from 0" if int(label) == classes else ""
            return f"label {shown} is above {classes - 1}{hint}"
    if len({int(label) for label in labels}) < GUESSES:
        return "a label is repeated"
    return ""


def other_pictures(answers: Answers, names: Sequence[str]) -> Iterator[str]:
    """Yield which lines are of no picture of the split, and which pictures have no line."""
    asked, given = set(names), set(answers.names)
    for number, name in zip(answers.lines, answers.names, strict=True):
        if name not in asked:
            yield f"line {number}: {visible(name, SHOWN)} is not a picture of the split"
    missing = [name for name in names if name not in given]
    for name in missing:
        yield f"{visible(name, SHOWN)} has no line"


def doubts(answers: Answers) -> Iterator[str]:
    """Yield what the challenge takes, but is most likely a mistake."""
    if answers.names != sorted(answers.names):
        yield "the lines are not sorted by name"
    if len(answers.names) > 1:
        (_, count), *_ = Counter(answers.classes[:, 0].tolist()).most_common(1)
        if count == len(answers.names):
            yield "every picture has the same first label"


def score_answers(answers: Answers, samples: Samples) -> ChallengeScore:
    """Score answers that name every picture of a split once."""
    place = {name: row for row, name in enumerate(answers.names)}
    names = picture_names(samples.files.tolist())
    classes = answers.classes[[place[name] for name in names]]
    top1, top5 = (accuracy(classes, samples.label, samples.num_classes, k) for k in (1, 5))
    return ChallengeScore(len(names), top1, top5)
