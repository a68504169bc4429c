"""What ``harness data check`` and ``harness data stats`` say about a user's own pictures."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np

from harness.data.own_pictures.listed import SPLITS
from harness.data.own_pictures.load import OPTIONS, OwnPictures, own_pictures, read_listed
from harness.data.own_pictures.looks import look
from harness.errors import DataError, HarnessError
from harness.figures import COLOURS, INK, draw_figure, picture_format
from harness.store.files import atomic_write
from harness.terminal import visible

if TYPE_CHECKING:
    from matplotlib.figure import Figure

FEW_CLASSES = 30  # whose names are written
INCHES = (11.0, 4.5)

Level = Literal["error", "warning", "note"]


class Finding(NamedTuple):
    """One line for the user; an error would stop a run, a warning may change its result."""

    level: Level
    text: str


@dataclass(frozen=True, kw_only=True)
class OwnReport:
    """What a folder or table holds; counts are of pictures that can be read.

    ``classes`` maps a class to its pictures by split. ``equal`` counts pictures whose content
    another has too, ``contradicting`` those of them whose labels differ, ``leaked`` pictures of
    val and test that are in train as well. ``clean`` is the share of training labels that are the
    clean ones, None if those are not known. ``sides`` are short sides in pixels.
    """

    path: str
    kind: str
    edition: str
    listed: int
    drawn: bool
    classes: Mapping[str, Mapping[str, int]]
    passed_over: Mapping[str, int]
    unreadable: tuple[str, ...]
    equal: int
    contradicting: int
    leaked: int
    clean: float | None
    sides: tuple[int, ...]
    findings: tuple[Finding, ...]

    @property
    def stops_a_run(self) -> bool:
        """Whether anything found would stop a run."""
        return any(finding.level == "error" for finding in self.findings)

    def of_split(self, split: str) -> int:
        """Return the number of pictures of a split."""
        return sum(counts[split] for counts in self.classes.values())

    def as_json(self) -> dict[str, Any]:
        """Return the report as values for json.dumps; of the sides only the quartiles."""
        content = asdict(self)
        content["findings"] = [finding._asdict() for finding in self.findings]
        content["sides"] = _quartiles(self.sides)
        return {**content, "stops_a_run": self.stops_a_run}


def _quartiles(sides: tuple[int, ...]) -> dict[str, int]:
    names = ("smallest", "quarter", "median", "three quarters", "largest")
    values = np.quantile(sides, (0, 0.25, 0.5, 0.75, 1)) if sides else ()
    return {name: int(value) for name, value in zip(names, values, strict=False)}


def check_own(kind: str, path: str, home: Path, *, fresh: bool = False) -> OwnReport:
    """Read a folder or table and every picture of it; ``fresh`` trusts no earlier look.

    Raises:
        DataError: The folder or the table itself cannot be read.
    """
    listed = read_listed(kind, path)
    looks = look(listed.root, listed.files, home, fresh=fresh)
    unreadable = tuple(
        f"{listed.where(row)}: {problem}" for row, problem in sorted(looks.problems.items())
    )
    findings = []
    if unreadable:
        text = f"{len(unreadable)} of {len(listed)} pictures cannot be read; ?broken=skip"
        findings.append(Finding("error", f"{text} leaves them out"))
    if listed.passed_over:
        others = Counter(listed.passed_over).most_common()
        text = ", ".join(f"{count} {visible(suffix)}" for suffix, count in others)
        findings.append(Finding("note", f"files that are not read as pictures: {text}"))
    own: OwnPictures | None = None
    try:
        own = own_pictures(kind, listed, looks, OPTIONS, home)
    except DataError as error:
        findings.append(Finding("error", str(error)))
    findings += _doubts(own) if own else ()
    order: tuple[Level, ...] = ("error", "warning", "note")
    truth, found = (own.truth, own.labels("train")) if own else (None, None)
    return OwnReport(
        path=str(listed.path),
        kind=kind,
        edition=own.edition if own else "",
        listed=len(listed),
        drawn=own.drawn if own else not listed.has_splits,
        classes=_classes(own) if own else {},
        passed_over=dict(listed.passed_over),
        unreadable=unreadable,
        equal=_equal(own)[0] if own else 0,
        contradicting=_equal(own)[1] if own else 0,
        leaked=_leaked(own) if own else 0,
        clean=None if truth is None else float((truth == found).mean()),
        sides=tuple(np.minimum(own.looks.width, own.looks.height).tolist()) if own else (),
        findings=tuple(sorted(findings, key=lambda one: order.index(one.level))),
    )


def _classes(own: OwnPictures) -> dict[str, dict[str, int]]:
    counts = {name: dict.fromkeys(SPLITS, 0) for name in own.names}
    for split in SPLITS:
        for number in own.labels(split).tolist():
            counts[own.names[number]][split] += 1
    return counts


def _equal(own: OwnPictures) -> tuple[int, int]:
    """Return how many pictures have an equal one, and how many of them one of another label."""
    labels: dict[str, list[str]] = defaultdict(list)
    for content, label in zip(own.looks.texts(), own.listed.label, strict=True):
        labels[content].append(label)
    several = [found for found in labels.values() if len(found) > 1]
    return sum(map(len, several)), sum(len(found) for found in several if len(set(found)) > 1)


def _leaked(own: OwnPictures) -> int:
    contents = own.looks.texts()
    trained = {contents[row] for row in own.rows("train").tolist()}
    scored = [*own.rows("val").tolist(), *own.rows("test").tolist()]
    return sum(contents[row] in trained for row in scored)


def _doubts(own: OwnPictures) -> list[Finding]:
    found = []
    equal, contradicting = _equal(own)
    leaked = _leaked(own)
    if leaked:
        found.append(Finding("warning", f"{leaked} pictures of val and test are in train as well"))
    if contradicting:
        found.append(Finding("warning", f"{contradicting} equal pictures have different labels"))
    if equal > contradicting:
        found.append(Finding("note", f"{equal - contradicting} pictures are equal to others"))
    clean, rows = own.listed.clean, own.rows("train").tolist()
    if clean is not None and own.truth is None:
        known = sum(bool(clean[row]) for row in rows)
        text = f"{known} of {len(rows)} training pictures have a clean label"
        found.append(Finding("note", f"{text}: noise handling is scored only if all have one"))
    strange = {clean[row] for row in rows if clean[row]} - set(own.names) if clean else set()
    if strange:
        text = f"clean labels that are not a class, the first {visible(min(strange))!r}"
        found.append(Finding("note", f"{text}: these pictures are treated as outside all classes"))
    return found


def draw_own(report: OwnReport, output: Path) -> None:
    """Draw class sizes and picture sizes to ``output``, an SVG or PNG, whole or not at all.

    Raises:
        HarnessError: matplotlib is not installed, there is nothing to draw, or ``output`` has
            another suffix or cannot be written.
    """
    form = picture_format(output)
    if not report.classes:
        raise HarnessError(f"{visible(report.path)} has no classes; try harness data check")
    content = draw_figure(lambda figure: _paint(figure, report), INCHES, form)
    atomic_write(output, lambda file: file.write(content))


def _paint(figure: Figure, report: OwnReport) -> None:
    sizes, sides = figure.subplots(1, 2, width_ratios=(2, 1))
    whole = sum(report.of_split(split) for split in SPLITS)
    figure.suptitle(
        f"{report.edition}  ·  {whole:,} pictures  ·  {len(report.classes):,} classes",
        x=0.01, ha="left", color=INK, fontsize=11, parse_math=False,
    )  # fmt: skip
    by_size = sorted(report.classes, key=lambda name: -sum(report.classes[name].values()))
    below = np.zeros(len(by_size))
    for split, colour in zip(SPLITS, COLOURS, strict=False):
        counts = np.array([report.classes[name][split] for name in by_size])
        sizes.bar(range(len(by_size)), counts, bottom=below, color=colour, label=split)
        below += counts
    if len(by_size) <= FEW_CLASSES:
        names = [visible(name, 20) for name in by_size]
        sizes.set_xticks(range(len(by_size)), names, rotation=60, ha="right", parse_math=False)
    sizes.set_title("Pictures per class" + (" (splits drawn)" if report.drawn else ""))
    sizes.margins(y=0.15)  # room for the legend
    sizes.grid(axis="y")
    sizes.legend(loc="upper right", ncols=3)
    sides.hist(report.sides, bins=30, color=COLOURS[0])
    sides.set_title("Short sides of the pictures")
    sides.set_xlabel("pixels")
    sides.grid(axis="y")
