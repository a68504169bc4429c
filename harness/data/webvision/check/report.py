"""The report of a check, as values that become tables or JSON."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any, Literal, NamedTuple

from harness.errors import DataError

Level = Literal["error", "warning", "note"]


class Problem(NamedTuple):
    """One line for the user; an error would stop a run, a warning may change its result."""

    level: Level
    text: str


class Findings:
    """The problems found so far; an error that would stop a run does not stop the check."""

    def __init__(self) -> None:
        self.found: list[Problem] = []

    def add(self, level: Level, text: str) -> None:
        """Add one line, unless it is there already."""
        if Problem(level, text) not in self.found:
            self.found.append(Problem(level, text))

    @contextmanager
    def noting(self) -> Iterator[None]:
        """Record a DataError of the enclosed code as an error, and continue."""
        try:
            yield
        except DataError as error:
            self.add("error", str(error))

    def in_order(self) -> tuple[Problem, ...]:
        """Return errors first, then warnings, then notes."""
        order: tuple[Level, ...] = ("error", "warning", "note")
        return tuple(sorted(self.found, key=lambda finding: order.index(finding.level)))


@dataclass(frozen=True, kw_only=True)
class SourceCount:
    """One training list, or all together.

    ``files`` is the number of files if pictures are sorted into one folder per class, where
    pictures with the same name overwrite each other. ``repeated_lines`` counts lines with a path
    that was listed before, ``shared_names`` base names in more than one class.
    """

    source: str
    entries: int
    files: int
    repeated_lines: int
    shared_names: int
    queries: int
    classes: int


@dataclass(frozen=True, kw_only=True)
class ClassCount:
    """How many training entries a class has from each source."""

    wnid: str
    words: str
    entries: dict[str, int]
    total: int
    files: int


@dataclass(frozen=True, kw_only=True)
class EvalCount:
    """Val, test or ilsvrc; ``entries`` per class run from ``smallest`` to ``largest``."""

    split: str
    entries: int
    labelled: bool
    smallest: int
    largest: int


@dataclass(frozen=True, kw_only=True)
class ImageCount:
    """The pictures of one split: how many were looked for, decoded and found broken."""

    split: str
    listed: int
    looked_for: int
    missing: int
    decoded: int
    unreadable: int
    variant: str
    places: tuple[str, ...]  # list, line, file and problem of the first few


@dataclass(frozen=True, kw_only=True)
class ArchiveCount:
    """One archive of an indexed data set; ``entries`` counts the listed pictures in it."""

    name: str
    bytes: int
    entries: int
    state: Literal["as indexed", "changed or gone", "not indexed"]


@dataclass(frozen=True, kw_only=True)
class TextCount:
    """The metadata of one source: shares are of its training entries, from 0 to 1."""

    source: str
    title: float
    description: float
    tags: float
    position_base: int | None  # whether positions count from 0 or 1; None if no id shows it
    other_ids: int  # entries whose id is not the picture's name
    broken_files: int


@dataclass(frozen=True, kw_only=True)
class IndexBases:
    """Whether the columns of queries_synsets_map.txt count from 0 or 1, and what shows it."""

    query: int
    query_told_by: str
    synset: int
    synset_told_by: str


@dataclass(frozen=True, kw_only=True)
class Report:
    """Everything that one pass over a data set found; see ``check``."""

    root: str
    edition: str
    layout: str
    num_classes: int
    sources: tuple[SourceCount, ...]
    classes: tuple[ClassCount, ...]
    eval_splits: tuple[EvalCount, ...]
    bases: IndexBases | None
    disagreements: dict[str, int]  # number of lines, by kind of disagreement
    texts: tuple[TextCount, ...]
    images: tuple[ImageCount, ...]
    archives: tuple[ArchiveCount, ...]  # empty if the pictures are in folders
    ranks: dict[str, list[int]]  # per source: how many queries have an entry of each rank, from 0
    findings: tuple[Problem, ...]

    @property
    def stops_a_run(self) -> bool:
        """Whether anything found would stop a run."""
        return any(finding.level == "error" for finding in self.findings)

    @property
    def imbalance(self) -> float | None:
        """Entries of the largest class over those of the smallest; None if a class is empty."""
        totals = [known.total for known in self.classes]
        return max(totals) / min(totals) if totals and all(totals) else None

    def as_json(self) -> dict[str, Any]:
        """Return the report as values for json.dumps."""
        content = asdict(self)
        content["findings"] = [finding._asdict() for finding in self.findings]
        return {**content, "imbalance": self.imbalance, "stops_a_run": self.stops_a_run}
