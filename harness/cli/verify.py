"""``harness verify``: recompute the figures of records from their predictions."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from harness.cli.completion import complete_data, complete_record
from harness.cli.say import say
from harness.cli.strict import StrictCommand
from harness.errors import HarnessError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from harness.studies.verification import RecordCheck

TESTED = ("train", "val", "test", "ilsvrc")


@click.command(cls=StrictCommand)
@click.argument("what", metavar="[RECORD|FOLDER]...", nargs=-1, shell_complete=complete_record)
@click.option(
    "--data",
    metavar="NAME[:PATH][?KEY=VALUE]",
    shell_complete=complete_data,
    help="Data set of the runs: compare images and labels with its splits.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the checks as JSON.")
@click.pass_obj
def verify(home: Path, what: tuple[str, ...], data: str | None, as_json: bool) -> None:
    """Score the stored predictions of records again, and compare every figure and digest.

    RECORD is an id or a file, FOLDER contains records; without arguments, all records are verified.
    Exits with status 2 if a record is not fine.

    \b
    Examples:
      harness verify
      harness verify baseline-seed0-0123456789abcdef --data synthweb:small
      harness verify downloaded/records
    """
    paths = [path for text in what or [str(home / "records")] for path in _records(home, text)]
    from harness.studies.verification import NOT_PROVED, PROVED, WITHOUT_DATA, verify

    splits = None
    if data is not None:
        from harness.assembly.data_sets import load_splits

        splits = load_splits(home, data, TESTED)
    checks = verify(dict.fromkeys(paths), splits)
    bounds = (PROVED, NOT_PROVED, *(() if splits else (WITHOUT_DATA,)))
    if as_json:
        found = [
            {"record": one.name, "path": str(one.path), "problems": one.problems} for one in checks
        ]
        say(json.dumps({"records": found, "bounds": bounds}, indent=1))
    else:
        say("\n".join(_lines(checks, bounds)))
    if any(one.problems for one in checks):
        sys.exit(2)


def _records(home: Path, text: str) -> list[Path]:
    """Return the files that a text names; raises HarnessError if it names none."""
    path = Path(text).expanduser()
    if path.is_dir():
        found = sorted(path.glob("*.json"))
        if not found:
            raise HarnessError(f"no record in {path}; name a folder like HOME/records")
        return found
    kept = home / "records" / f"{text}.json"
    if not path.exists() and kept.exists():
        return [kept]
    if not path.exists():
        raise HarnessError(
            f"{text} is not a record, a folder or the id of a record; see {home / 'records'}"
        )
    return [path]


def _lines(checks: Sequence[RecordCheck], bounds: Sequence[str]) -> Iterator[str]:
    from tabulate import tabulate

    from harness.terminal import visible

    rows = [
        (visible(one.name), "not fine" if problem else "fine", visible(problem))
        for one in checks
        for problem in one.problems or [""]
    ]
    yield tabulate(rows, ("record", "check", "reason"), disable_numparse=True)
    yield ""
    fine = sum(not one.problems for one in checks)
    yield f"{fine} of {len(checks)} records are fine"
    yield from bounds
