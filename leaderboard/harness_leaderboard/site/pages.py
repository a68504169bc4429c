"""The site as files by name: every page, from the records of a home."""

from __future__ import annotations

import hashlib
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from harness import __version__
from harness.errors import HarnessError
from harness.pages.render import SCRIPT, STYLE, environment, look
from harness.store.data_names import DataSet, data_set
from harness.store.groups import settings
from harness.store.origins import Origin
from harness.store.reading import read_plain
from harness.store.record import ResultRecord
from harness.studies.again import command
from harness.studies.pairs import Answers
from harness_leaderboard.headline import make_headline
from harness_leaderboard.headline_board import HeadlineBoard, HeadlineRow
from harness_leaderboard.site.board_page import board_values
from harness_leaderboard.site.compare_data import call, names_script, run_script
from harness_leaderboard.site.home import HomeFiles, headline_score
from harness_leaderboard.site.method_page import Sources, Verdicts, knob_lines, methods_of
from harness_leaderboard.site.run_page import pictures_of, run_values
from harness_leaderboard.site.worlds import worlds_values

if TYPE_CHECKING:
    from harness_leaderboard.published import PublishedRow

HERE = Path(__file__).parent
MOST = 64 << 20
# Files of the page's own folder only. Firefox and Chromium take "file:" for pages opened as files.
POLICY = (
    "default-src 'none'; style-src 'self' file:; script-src 'self' file:; "
    "img-src 'self' file: data:; base-uri 'none'; form-action 'none'"
)
LIVE = f"{POLICY}; connect-src 'self'"


class Placed(NamedTuple):
    """A board and its page."""

    board: HeadlineBoard
    name: str
    file: str


class Site:
    """The pages of a site by name, made one after the other so that none is kept in memory."""

    def __init__(  # noqa: PLR0913 - what a site is made of
        self,
        home: Path,
        records: Sequence[ResultRecord],
        *,
        unverified: frozenset[str] = frozenset(),
        problems: Sequence[str] = (),
        origins: Mapping[str, Origin] | None = None,
        published: Sequence[PublishedRow] = (),
        live: bool = False,
    ) -> None:
        self._home, self._unverified, self._published = home, unverified, published
        self._records = sorted(records, key=lambda r: (r.cost.created, r.id), reverse=True)
        self._by_id = {record.id: record for record in records}
        self._files = HomeFiles(home)
        self._origins = origins or {}
        self._problems, self._live = tuple(problems), live
        self._environment = environment(HERE / "templates")
        self._environment.filters |= {"file": file_name, "zip": zip}

    def files(self) -> Iterator[tuple[str, bytes]]:
        """Yield every file of the site: its name and its content."""
        yield STYLE, look(STYLE).encode()
        yield SCRIPT, look(SCRIPT).encode()
        yield from self._boards_pages()
        yield "runs.html", self._runs()
        yield "runs.js", self._run_list()
        yield "compare.html", self._page("compare.html", "compare.html")
        yield from self._method_pages()
        if self._worlds:
            yield "worlds.html", self._page("worlds.html", "worlds.html", self._worlds)
        if self._published:
            yield "published.html", self._published_page()
        if self._live:
            yield "live.html", self._page("live.html", "live.html")
        yield from self._run_pages()

    @cached_property
    def boards(self) -> list[Placed]:
        """The boards of every data set and split, that of the newest run first."""
        found: dict[tuple[DataSet, str], list[ResultRecord]] = defaultdict(list)
        for record in self._records:
            for split in dict.fromkeys(score.split for score in record.scores):
                found[data_set(record.data, split), split].append(record)
        order = {"test": 0, "ilsvrc": 2}  # val, on which epochs are chosen, after test
        place = {key: number for number, (key, _) in enumerate(found)}
        newest = list(dict.fromkeys(key.edition for key, _ in found))
        boards: list[Placed] = []
        names: set[str] = set()
        for key, split in sorted(
            found,
            key=lambda one: (newest.index(one[0].edition), order.get(one[1], 1), place[one[0]]),
        ):
            try:
                board = make_headline(
                    found[key, split],
                    self._home,
                    split=split,
                    unverified=self._unverified,
                    origins=self._origins,
                    answers=Answers(self._files.load),
                )
            except HarnessError as error:
                self._problems = (*self._problems, f"{key.asked}, {split}: {error}")
                continue
            name = f"{key.asked}, {split}"
            name = name if name not in names else f"{name} ({key.fingerprint[:8]})"
            names.add(name)
            file = f"board-{file_name(name)}.html" if boards else "index.html"
            boards.append(Placed(board, name, file))
        return boards

    @cached_property
    def _worlds(self) -> dict[str, Any]:
        return worlds_values([(placed.name, placed.board) for placed in self.boards])

    @cached_property
    def _shared(self) -> dict[str, Any]:
        """What all pages show: the pages of the head, and what the site was made from."""
        pages = [
            ("Board", "index.html"),
            ("Methods", "methods.html"),
            ("Runs", "runs.html"),
            ("Compare", "compare.html"),
            *([("Across data", "worlds.html")] if self._worlds else []),
            *([("Published", "published.html")] if self._published else []),
            *([("Live", "live.html")] if self._live else []),
        ]
        count = len(self._records)
        return {
            "pages": pages,
            "policy": LIVE if self._live else POLICY,
            "version": __version__,
            "counted": f"{count:,} {'run' if count == 1 else 'runs'}",
        }

    def _page(
        self, template: str, here: str, values: Mapping[str, Any] | None = None, root: str = ""
    ) -> bytes:
        text = self._environment.get_template(template).render(
            {**self._shared, "here": here, "root": root, **(values or {})}
        )
        return text.encode()

    def _boards_pages(self) -> Iterator[tuple[str, bytes]]:
        if not self.boards:
            yield "index.html", self._page("empty.html", "index.html", {"problems": self._problems})
        for placed in self.boards:
            values = board_values(placed.board, self._by_id)
            first = placed is self.boards[0]
            values |= {"boards": self.boards, "problems": self._problems if first else ()}
            yield placed.file, self._page("board.html", placed.file, values)

    def _runs(self) -> bytes:
        lines = []
        for record in self._records:
            score = headline_score(record)
            lines.append(
                {
                    "id": record.id,
                    "label": record.label,
                    "plugin": record.plugin,
                    "seed": record.seed,
                    "data": record.data.asked or record.data.edition,
                    "split": score.split if score else "",
                    "top1": score.top1 if score else None,
                    "top5": score.top5 if score else None,
                    "seconds": record.cost.device_seconds,
                    "created": record.cost.created,
                    "submitted": record.id in self._origins,
                }
            )
        values = {
            "runs": lines,
            "sets": sorted({r.data.asked or r.data.edition for r in self._records}),
            "methods": sorted({record.plugin for record in self._records}),
        }
        return self._page("runs.html", "runs.html", values)

    def _run_list(self) -> bytes:
        known = [
            [r.id, f"{r.label}, seed {r.seed}, {r.data.asked or r.data.edition}"]
            for r in self._records
        ]
        return call("known", known).encode()

    def _method_pages(self) -> Iterator[tuple[str, bytes]]:
        sources, verdicts = Sources(), Verdicts(self._home, self._records)
        lines = []
        for method in methods_of(self._records):
            values = sources.values(method) | verdicts.values(method.name)
            tested = sum(one.verdict.interval is not None for one in values["claims"])
            lines.append(
                {
                    "name": method.name,
                    "about": values["about"],
                    "runs": len(method.records),
                    "claims": len(values["claims"]),
                    "tested": tested,
                    "last": method.records[0].cost.created,
                }
            )
            values |= {
                "name": method.name,
                "command": command(method.records[0]),
                "knobs": knob_lines(method),
                "places": self._places(method.name),
            }
            file = f"methods/{file_name(method.name)}.html"
            yield file, self._page("method.html", "methods.html", values, "../")
        yield "methods.html", self._page("methods.html", "methods.html", {"methods": lines})

    def _places(self, plugin: str) -> list[tuple[Placed, HeadlineRow]]:
        return [
            (placed, row)
            for placed in self.boards
            for row in placed.board.rows
            if row.plugin == plugin
        ]

    def _published_page(self) -> bytes:
        from harness_leaderboard.board import make_board
        from harness_leaderboard.show import on_published
        from harness_leaderboard.table import score_tables

        board = make_board((), self._published)
        values = {"tables": score_tables(board.rows), "notes": list(on_published(board))}
        return self._page("published.html", "published.html", values)

    def _run_pages(self) -> Iterator[tuple[str, bytes]]:
        found = [tuple(settings(record).items()) for record in self._records]
        twins: dict[object, list[ResultRecord]] = defaultdict(list)
        for record, own in zip(self._records, found, strict=True):
            twins[own, record.seed].append(record)
        named: set[str] = set()
        pictures: dict[str, Path] = {}
        for record, own in zip(self._records, found, strict=True):
            values = run_values(record, self._files, twins[own, record.seed])
            values["origin"] = self._origins.get(record.id)
            names = {path: _picture_name(path) for path in pictures_of(values["confusions"])}
            values["confusions"] = [
                {**one._asdict(), "shown": names.get(one.picture) if one.picture else None}
                for one in values["confusions"]
            ]
            pictures |= {name: path for path, name in names.items()}
            yield f"runs/{record.id}.html", self._page("run.html", "runs.html", values, "../")
            class_names = self._files.known(record.data).names
            place = f"names/{record.data.fingerprint[:16]}.js" if class_names else ""
            if place and place not in named:
                named.add(place)
                yield place, names_script(place, class_names).encode()
            script = run_script(record, self._files.kept(record), place, own)
            yield f"runs/{record.id}.js", script.encode()
        for name, path in pictures.items():
            yield name, read_plain(path, MOST)


def _picture_name(path: Path) -> str:
    return f"pictures/{hashlib.sha256(str(path).encode()).hexdigest()[:16]}.jpg"


def file_name(name: str) -> str:
    """Return a name for a file that nothing in it can lead elsewhere, different for each name."""
    plain = re.sub(r"[^\w.-]+", "-", name, flags=re.ASCII).strip("-.")[:60] or "unnamed"
    if plain == name:
        return plain
    return f"{plain}-{hashlib.sha256(name.encode('utf-8', 'replace')).hexdigest()[:6]}"
