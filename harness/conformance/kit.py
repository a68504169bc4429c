"""The checks of one plugin, as a list of problems or as one test each."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

from harness.assembly.hooks import Active, Hooks
from harness.conformance.case import TINY, Case, case_of
from harness.conformance.checks import (
    check_knobs,
    check_network,
    check_noise_tricks,
    check_plan,
    check_samples,
    check_summary,
    check_views,
)
from harness.conformance.encoders import check_encoders
from harness.conformance.fakes import random_states_kept
from harness.conformance.trials import check_training
from harness.conformance.two_ranks import check_two_ranks
from harness.errors import HarnessError
from harness.spec import DataSpec, Override, default_home


class _Part(NamedTuple):
    """One part of the contract: its name, what finds breaches, and what repairs them."""

    name: str
    check: Callable[[Case], Iterable[str] | None]
    remedy: str
    needs_data: bool = True


PARTS = (
    _Part(
        "summary", check_summary, "write a docstring, and mark a method of a hook's name with "
        "@hookimpl", needs_data=False,
    ),
    _Part(
        "knobs", check_knobs, "make a method a frozen dataclass, and write each default as "
        "assumed(value, why) or published(value, source)", needs_data=False,
    ),
    _Part(
        "samples", check_samples, "give each split its own Samples, the same classes in all, and a "
        "fingerprint that follows from the content",
    ),
    _Part(
        "plan", check_plan, "build the plan only from the knobs, tricks as frozen dataclasses of "
        "plain values",
    ),
    _Part(
        "encoders", check_encoders, "return vectors of length 1, in one space, that follow from "
        "texts or pictures alone", needs_data=False,
    ),
    _Part(
        "noise tricks", check_noise_tricks, "return samples.assign(...), and draw from "
        "np.random.default_rng(seed) with a seed among the trick's fields",
    ),
    _Part(
        "network and loss", check_network, "return new tensors of the shapes in docs/hooks.md, and "
        "draw from batch.seed",
    ),
    _Part(
        "test views", check_views, "return a tuple of views that depend only on the given views",
    ),
    _Part(
        "training", check_training, "keep nothing between steps in attributes or globals, and draw "
        "only from seeds that are given",
    ),
    _Part(
        "two ranks", check_two_ranks, "keep values of samples in a declared state, which "
        "ranks share",
    ),
)  # fmt: skip
TRAINING = PARTS[-2:]


@dataclass
class _Subject:
    """A plugin under test, set up once for all its checks."""

    plugin: str | object
    data: DataSpec
    home: Path | None
    stage: Mapping[str, object]

    @cached_property
    def name(self) -> str:
        """The plugin's name in messages."""
        if isinstance(self.plugin, str):
            return self.plugin
        return str(getattr(self.plugin, "__name__", type(self.plugin).__name__))

    @cached_property
    def set_up(self) -> Case | str:
        """The case, or why there is none."""
        try:
            asked = [(*path.rpartition("."), str(value)) for path, value in self.stage.items()]
            overrides = tuple(Override(stage, field, text) for stage, _, field, text in asked)
            case = case_of(self.plugin, self.data, self.home or default_home(), overrides)
            Hooks([Active(case.name, case.plugin)], method=case.name)
        except HarnessError as error:
            return str(error)
        return case

    def problems(self, part: _Part) -> list[str]:
        """Return the breaches of one part of the contract, one line each."""
        case = self.set_up
        if isinstance(case, str):
            return [case]
        if part.needs_data and not case.can_run:
            return []
        found: list[str] = []
        try:
            with random_states_kept():
                found += part.check(case) or ()
        except HarnessError as error:
            found.append(str(error))
        except Exception as error:  # a plugin's code can raise anything at all
            found.append(f"{part.name}: {type(error).__name__}: {error}")
        lines = (f"{case.name}: {' '.join(problem.split())}" for problem in found)
        return list(dict.fromkeys(lines))


@dataclass(frozen=True)
class PluginCheck:
    """One check of one plugin: a test that calls it fails with every problem and the remedy."""

    name: str
    remedy: str
    _subject: _Subject = field(repr=False)
    _part: _Part | None = field(repr=False)

    def problems(self) -> list[str]:
        """Return every problem, one line each; none if the plugin keeps this part."""
        if self._part is not None:
            return self._subject.problems(self._part)
        return [self._subject.set_up] if isinstance(self._subject.set_up, str) else []

    def __call__(self) -> None:
        """Raise AssertionError if there is a problem."""
        found = self.problems()
        if found:
            raise AssertionError("\n".join([*found, f"remedy: {self.remedy}"]))

    def __str__(self) -> str:
        """Return the name, as the id of a test."""
        return self.name


def plugin_checks(
    plugin: str | object,
    *,
    data: DataSpec | None = None,
    stage: Mapping[str, object] | None = None,
    home: Path | None = None,
) -> list[PluginCheck]:
    """Return the checks of a plugin, for tests of its own; nothing is imported or read yet.

    ``plugin`` is the name of a plugin, or a plugin's class, object or module. Each check is tried
    with the plugin's defaults on ``data``, synthweb:tiny by default, below ``home``; a data set is
    read only if ``data`` names it. ``stage`` overrides fields of stages, as ``--stage``: a network
    is tried only if {"backbone": NAME} asks for it. The last checks train two
    steps of every stage: three times on one rank, and on two ranks if the plugin has a name.

    >>> [str(check) for check in plugin_checks("baseline")][:3]
    ['set-up', 'summary', 'knobs']
    """
    subject = _Subject(plugin, data or TINY, home, stage or {})
    first = PluginCheck(
        "set-up", "import nothing that is not installed, and name hooks and arguments as in "
        "docs/hooks.md", subject, None,
    )  # fmt: skip
    return [first, *(PluginCheck(part.name, part.remedy, subject, part) for part in PARTS)]


def check_plugin(
    plugin: str | object,
    *,
    data: DataSpec | None = None,
    stage: Mapping[str, object] | None = None,
    home: Path | None = None,
    train: bool = False,
) -> list[str]:
    """Return every problem with the contract, one line each; none if the plugin keeps it.

    As ``plugin_checks``, all at once. Only with ``train`` two steps are trained.
    """
    subject = _Subject(plugin, data or TINY, home, stage or {})
    if isinstance(subject.set_up, str):
        return [subject.set_up]
    parts = (part for part in PARTS if train or part not in TRAINING)
    return list(dict.fromkeys(line for part in parts for line in subject.problems(part)))
