"""The option ``--add`` of ``harness leaderboard``: submissions verified and taken."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import click

from harness.cli.say import say
from harness.terminal import visible

F = TypeVar("F", bound=Callable[..., Any])
TESTED = ("train", "val", "test", "ilsvrc")


def add_option(command: F) -> F:
    """Add ``--add`` to a command."""
    return click.option(
        "--add",
        type=click.Path(path_type=Path),
        metavar="FILE|FOLDER",
        multiple=True,
        help="Verify a zip of harness export, or a folder like HOME/records, and take its records; "
        "--data then names the data set to compare their pictures and labels with; repeatable.",
    )(command)


def add_submissions(home: Path, sources: Sequence[Path], data: str | None) -> None:
    """Take submissions into ``home``, all or none, and print what was checked.

    ``data`` is what --data takes. Raises HarnessError with the reason if one is refused.
    """
    from harness.studies.verification import NOT_PROVED, PROVED, WITHOUT_DATA
    from harness.submissions.take import take

    splits = None
    if data is not None:
        from harness.assembly.data_sets import load_splits

        splits = load_splits(home, data, TESTED)
    taken = take(home, sources, splits, data or "")
    for one in taken:
        say(f"took {visible(one.record.id)} from {visible(one.origin.source)}: it is fine")
    say("\n".join((PROVED, NOT_PROVED, *(() if splits else (WITHOUT_DATA,)))))
