"""What a check of a data set found, as values that become a table or JSON."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any, Literal, NamedTuple

from harness.errors import DataError

Level = Literal["error", "warning", "note"]


class Problem(NamedTuple):
    """One line for people; an error would stop a run, a warning may change its result."""

    level: Level
    text: str


class Findings:
    """What was found so far; what would stop a run does not stop the check."""

    def __init__(self) -> None:
        self.found: list[Problem] = []

    def add(self, level: Level, text: str) -> None:
        """Note one line, once."""
        if Problem(level, text) not in self.found:
            self.found.append(Problem(level, text))

    @contextmanager
    def noting(self) -> Iterator[None]:
        """Make an error of what the reader raises."""
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

    ``files`` counts what is left when pictures are sorted into one folder per class, where a name
    that stands there twice is overwritten. ``repeated_lines`` name a path that was listed before,
    ``shared_names`` are base names that occur in more than one class.
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
class JudgedCount:
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
    places: tuple[str, ...]  # list, line, file and what is wrong with it; the first few


@dataclass(frozen=True, kw_only=True)
class ArchiveCount:
    """One archive of an indexed data set; ``entries`` are those of the lists that lie in it."""

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
    position_base: int | None  # from what number positions count; None where no id tells
    other_ids: int  # entries whose id is not the picture's name
    broken_files: int


@dataclass(frozen=True, kw_only=True)
class IndexBases:
    """From what number the columns of queries_synsets_map.txt count, and what tells so."""

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
    judged: tuple[JudgedCount, ...]
    bases: IndexBases | None
    disagreements: dict[str, int]  # what disagrees, and on how many lines
    texts: tuple[TextCount, ...]
    images: tuple[ImageCount, ...]
    archives: tuple[ArchiveCount, ...]  # none where the pictures lie in folders
    ranks: dict[str, list[int]]  # per source: how many queries have an entry of each rank, from 0
    findings: tuple[Problem, ...]

    @property
    def stops_a_run(self) -> bool:
        """Whether anything found would stop a run."""
        return any(finding.level == "error" for finding in self.findings)

    @property
    def imbalance(self) -> float | None:
        """Entries of the largest class over those of the smallest; None where one has none."""
        totals = [known.total for known in self.classes]
        return max(totals) / min(totals) if totals and all(totals) else None

    def as_json(self) -> dict[str, Any]:
        """Return the report as what json.dumps takes."""
        content = asdict(self)
        content["findings"] = [finding._asdict() for finding in self.findings]
        return {**content, "imbalance": self.imbalance, "stops_a_run": self.stops_a_run}
