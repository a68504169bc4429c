"""Scores of samples from a file: the output of any tool that judges pictures or labels."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
from pydantic import Field

from harness.errors import PluginError
from harness.knobs import check_fields
from harness.samples import Samples
from harness.tricks.noise.ranking.match_scores import Scores, Use, use_scores

COLUMNS = ("path", "score")


@dataclass(frozen=True, kw_only=True)
class ListedScores:
    """Select or weigh samples by a table of scores, the higher the better.

    ``file`` is a CSV with the columns path and score; a path is that of the data set, relative to
    its folder. Every sample needs a score; further paths and columns are passed over. An entry of
    each line is held in memory, about 200 bytes. ``use``, within each class as labelled:

    - "select": the ``round(share * n)`` best of n samples; the others are left out (subset -1).
    - "weigh": multiply by ``floor`` to 2 - ``floor``, linear in the rank, mean 1 per class.

    **Source:** our choice; DataComp (arXiv 2304.14108) also takes a list of what is kept as an
    entry, and keeps a share of the best by score.
    """

    file: Path
    use: Use = "select"
    share: Annotated[float, Field(gt=0, le=1)] = 0.8
    floor: Annotated[float, Field(ge=0, le=1)] = 0.5

    def __post_init__(self) -> None:
        """Check the ranges of the fields."""
        check_fields(self)

    def __call__(self, samples: Samples) -> Samples:
        """Return the samples with new ``subset`` or ``weight``.

        Raises PluginError if the file cannot be read, or a sample has no score.
        """
        scores = scores_of(samples, self.file)
        return use_scores(samples, scores, self.use, share=self.share, floor=self.floor)


def scores_of(samples: Samples, file: Path) -> Scores:
    """Return the score of every sample ``(N,)`` from a CSV of (path, score).

    Raises PluginError if the file cannot be read, has no such columns, a score that is not a finite
    number or two for one path, or none for a sample.

    **Source:** see ``ListedScores``.
    """
    listed: dict[str, float] = {}
    try:
        # A byte order mark is skipped; bytes that are not UTF-8 are kept, as in names of files.
        with file.open(encoding="utf-8-sig", errors="surrogateescape", newline="") as lines:
            for number, path, score in _lines(csv.DictReader(lines), file):
                if listed.setdefault(path, score) != score:
                    raise PluginError(f"{file}: line {number} gives {path!r} another score")
    except (OSError, csv.Error) as error:
        raise PluginError(f"{file} is not a table of scores that can be read: {error}") from error
    names = [str(name) for name in samples.files.tolist()]
    missing = [name for name in names if name not in listed]
    if missing:
        raise PluginError(
            f"{file} has no score for {len(missing):,} of {len(names):,} samples, as "
            f"{missing[0]!r}; add them, with a low score to leave them out"
        )
    return np.array([listed[name] for name in names], np.float32)


def _lines(reader: csv.DictReader[str], file: Path) -> Iterator[tuple[int, str, float]]:
    found = reader.fieldnames or []
    for column in COLUMNS:
        if column not in found:
            raise PluginError(
                f"{file} needs the columns path and score; its first line is {','.join(found)!r}"
            )
    for line in reader:
        try:
            score = float(line["score"])
        except (TypeError, ValueError):
            score = math.nan
        if not line["path"] or not math.isfinite(score):
            raise PluginError(
                f"{file}: line {reader.line_num} needs a path and a finite score, not "
                f"{line['path']!r} and {line['score']!r}"
            )
        yield reader.line_num, line["path"], score
