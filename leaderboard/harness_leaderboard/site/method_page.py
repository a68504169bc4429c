"""The page of one method: its code, its knobs with their sources, its claims and verdicts."""

from __future__ import annotations

import inspect
from collections import Counter
from collections.abc import Iterable, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from harness.assembly.discovery import Entry, find_plugins, source_file
from harness.assembly.sources import file_sha256
from harness.errors import HarnessError
from harness.spec import DataSpec, RunSpec
from harness.store.reading import read_plain
from harness.store.record import Knob, ResultRecord
from harness.terminal import page, visible

if TYPE_CHECKING:
    from markupsafe import Markup

    from harness_reproductions.judging import Judgement

MOST = 1 << 20  # bytes of a plugin's file


class KnobLine(NamedTuple):
    """A knob as runs used it: its default with its source, and the other values that ran."""

    name: str
    default: str
    origin: str
    source: str
    tried: tuple[str, ...]


class Method(NamedTuple):
    """A method with its runs, newest first."""

    name: str
    records: tuple[ResultRecord, ...]


def methods_of(records: Iterable[ResultRecord]) -> list[Method]:
    """Return the methods that ran, by name."""
    found: dict[str, list[ResultRecord]] = {}
    for record in records:
        found.setdefault(record.plugin, []).append(record)
    return [
        Method(name, tuple(sorted(runs, key=lambda one: one.cost.created, reverse=True)))
        for name, runs in sorted(found.items())
    ]


class Sources:
    """The files of installed plugins."""

    @cached_property
    def _entries(self) -> dict[str, Entry]:
        return find_plugins()

    def values(self, method: Method) -> dict[str, Any]:
        """Return what a method's page shows of its code, and whether it is what ran last."""
        entry = self._entries.get(method.name)
        path = source_file(entry) if entry else None
        used = next((p for p in method.records[0].plugins if p.name == method.name), None)
        values: dict[str, Any] = {
            "entry": entry,
            "used": used,
            "code": None,
            "about": "",
            "same": False,
        }
        if path is None:
            return values
        try:
            text = read_plain(path, MOST).decode("utf-8", "replace")
        except OSError:
            return values
        same = used is not None and file_sha256(str(path)) == used.source_sha256
        return values | {"code": shown(text), "about": summary(text), "same": same}


def shown(text: str) -> Markup:
    """Return a file's lines as text of a page, hidden characters made visible."""
    from markupsafe import escape

    return escape(page(text))


def summary(text: str) -> str:
    """Return the first paragraph of a module's docstring, or nothing."""
    import ast

    try:
        found = ast.get_docstring(ast.parse(text))
    except (SyntaxError, ValueError, RecursionError):
        return ""
    return visible(inspect.cleandoc(found or "").partition("\n\n")[0])


def knob_lines(method: Method) -> list[KnobLine]:
    """Return a method's knobs as its runs recorded them."""
    defaults: dict[str, Knob] = {}
    tried: dict[str, dict[str, None]] = {}
    for record in method.records:
        for name, knob in record.knobs.items():
            tried.setdefault(name, {})[knob.value] = None
            if knob.origin != "command line":
                defaults.setdefault(name, knob)
    found = []
    for name, values in tried.items():
        own = defaults.get(name)
        others = tuple(value for value in values if own is None or value != own.value)
        told = (own.value, own.origin, own.source) if own else ("", "", "")
        found.append(KnobLine(name, *told, others))
    return found


class Verdicts:
    """The published claims, judged by the runs of a home, for each method."""

    def __init__(self, home: Path, records: Sequence[ResultRecord]) -> None:
        self._home, self._records = home, records

    @cached_property
    def _judged(self) -> list[Judgement]:
        """Judge every claim on the data and the overrides that most runs of deck methods share."""
        from harness_reproductions.judging import judge_all
        from harness_reproductions.tables import all_claims
        from harness_reproductions.trials import Trials, recipes_of

        claims = all_claims()
        plain = RunSpec(plugin="baseline", data=DataSpec(name="synthweb"), home=self._home)
        recipes = recipes_of((), claims)
        specs = Trials(plain, (0,), recipes).specs()
        labels = {spec.label: spec for spec in specs}
        terms = Counter(
            self._terms(record, labels) for record in self._records if self._terms(record, labels)
        )
        if not terms:
            return []
        (chosen, _), *_ = terms.most_common(1)
        kept = [record for record in self._records if self._terms(record, labels) == chosen]
        trials = Trials(plain, sorted({record.seed for record in kept}), recipes)
        for record in sorted(kept, key=lambda one: one.cost.created):  # the newest of a seed counts
            spec = labels[_bare(record, labels)]
            trials.add(RunSpec(plugin=spec.plugin, knobs=spec.knobs, seed=record.seed), record)
        self.data = kept[0].data.asked or kept[0].data.edition
        return judge_all(claims, trials)

    data = ""

    @staticmethod
    def _terms(record: ResultRecord, labels: dict[str, RunSpec]) -> tuple[str, str] | None:
        label = _bare(record, labels)
        if label not in labels or record.without:
            return None
        return record.data.fingerprint, record.label.removeprefix(label)

    def values(self, name: str) -> dict[str, Any]:
        """Return the claims about a method with their verdicts, and the data of these."""
        from harness_reproductions.decks.rows import cli_options

        try:
            judged = self._judged
        except HarnessError:  # predictions are missing or damaged: the notes of boards say so
            judged = []
        found = [
            one
            for one in judged
            if any(
                row.recipe is not None and cli_options(row.recipe)[0] == name
                for row in (one.claim.better, one.claim.worse)
            )
        ]
        counts = Counter(one.verdict.outcome for one in found)
        return {"claims": found, "counts": counts, "judged_on": self.data}


def _bare(record: ResultRecord, labels: dict[str, RunSpec]) -> str:
    """Return the longest label of a recipe that a record's label begins with."""
    words = record.label.split(" ")
    for count in range(len(words), 0, -1):
        start = " ".join(words[:count])
        if start in labels and not any(w.startswith(("+", "-")) for w in words[count:]):
            rest = {word.partition("=")[0] for word in words[count:]}
            asked = {name for name, knob in record.knobs.items() if knob.origin == "command line"}
            if not rest & asked:
                return start
    return ""
