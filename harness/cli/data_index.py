"""``harness data index``: index tar archives, so that images are read without unpacking."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from harness.cli.say import say
from harness.cli.strict import StrictCommand
from harness.errors import HarnessError
from harness.progress import ProgressLine

if TYPE_CHECKING:
    from harness.data.webvision.index.build import IndexResult


@click.command(cls=StrictCommand)
@click.argument("path", type=click.Path(path_type=Path))
@click.option(
    "--output",
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder of the index.  [default: PATH/.harness-index]",
)
@click.option(
    "--tar", "only", multiple=True, metavar="NAME", help="Index only this archive; repeatable."
)
@click.option(
    "--texts/--no-texts",
    default=True,
    show_default=True,
    help="Also index titles, descriptions and tags.",
)
@click.option("--verify", is_flag=True, help="Compare a finished index with its checksums.")
@click.option(
    "--verify-data", is_flag=True, help="Like --verify, and read the first bytes of every image."
)
@click.option("--json", "as_json", is_flag=True, help="Print the counts as JSON.")
def index(  # noqa: PLR0913 - one argument per option
    path: Path,
    output: Path | None,
    only: tuple[str, ...],
    texts: bool,
    verify: bool,
    verify_data: bool,
    as_json: bool,
) -> None:
    """Index WebVision's tar archives in place, without unpacking.

    PATH contains the archives (google_resized_256.tar and others of WebVision 1.0, or
    webvision_train_00.tar and others of 2.0) and info/ or info.tar. After an interruption, the
    same command continues. With --verify or --verify-data, exits with status 1 if a problem is
    found.

    \b
    Examples:
      harness data index /data/webvision
      harness data index /data/webvision --verify
      harness data index /data/webvision --output /scratch/webvision-index
    """
    with ProgressLine() as line:
        if verify or verify_data:
            from harness.data.webvision.index.open import verify_index

            problems = verify_index(output or path, line.show, pictures=verify_data)
            line.clear()
            say(json.dumps(problems, indent=1) if as_json else _verdict(problems))
            if problems:
                raise SystemExit(1)
            return
        from harness.data.webvision.index.build import build_index

        built = build_index(path, output=output, only=only, texts=texts, progress=line.show)
    if as_json:
        say(json.dumps({**asdict(built), "index": str(built.index)}, indent=1))
    else:
        say("\n".join(describe(built)))
    if not any(split.found for split in built.splits.values()):
        raise HarnessError(
            f"none of {sum(split.rows for split in built.splits.values())} listed pictures is in "
            f"the {built.tars} archives of {path}; check that lists and archives are of the same "
            "edition"
        )


def describe(built: IndexResult) -> list[str]:
    """Return what was found and what is missing, one line each."""
    lines = [f"{built.edition}: {built.members:,} members of {built.tars} archives"]
    for name, split in built.splits.items():
        missing = split.rows - split.found
        line = f"{name}: {split.found:,} of {split.rows:,} entries found"
        if missing:
            line += f"; {missing:,} are in no archive, the first is {split.first_missing[0]}"
        lines.append(line)
        if split.texts is not None:
            lines.append(f"{name}: {split.texts:,} entries have a text")
        lines += [f"{name}: {count:,} {what}" for what, count in split.text_problems.items()]
    if built.repeated_entries:
        lines.append(
            f"{built.repeated_entries:,} entries name a picture that another entry also names"
        )
    return [*lines, *built.oddities(), f"index: {built.index}"]


def _verdict(problems: list[str]) -> str:
    return (
        "\n".join(problems) if problems else "the index is complete and its archives are unchanged"
    )
