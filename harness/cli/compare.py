"""``harness compare``: what changed from one run to another, image by image."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Literal

import click

from harness.cli.say import say


@click.command()
@click.argument("before", metavar="RUN")
@click.argument("after", metavar="RUN")
@click.option("--split", help="test, val or ilsvrc. Default: the first that both were scored on.")
@click.option(
    "--protocol", default="1 view", metavar="VIEWS", help='As on the board. Default: "1 view".'
)
@click.option(
    "--metric", type=click.Choice(("top1", "top5")), default="top1", help="Default: top1."
)
@click.option(
    "--data",
    metavar="NAME[:PATH][?KEY=VALUE]",
    help="The data set that both ran on: chooses runs, and names the categories.",
)
@click.option(
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE.svg|png",
    help="Draw it, too. Needs the extra plots: pip install matplotlib",
)
@click.option("--json", "as_json", is_flag=True, help="Print everything as JSON.")
@click.pass_obj
def compare(  # noqa: PLR0913 - one parameter per option
    home: Path,
    before: str,
    after: str,
    split: str | None,
    protocol: str,
    metric: Literal["top1", "top5"],
    data: str | None,
    output: Path | None,
    as_json: bool,
) -> None:
    """Compare two runs on the same test images: by how much the second beats the first.

    RUN is a row of the board, by its name, its label or its method, with all its seeds; or one
    record, by its id, the beginning of it, or its file. Prints the difference with its interval,
    and the categories that improved, fell and stayed.

    \b
    Examples:
      harness compare baseline malong_curriculum
      harness compare "malong_curriculum model=B" malong_curriculum --metric top5
      harness compare baseline-seed0 baseline-seed1 --output seeds.svg
    """
    if output is not None:
        from harness.figures import picture_format

        picture_format(output)  # before anything is read
    from harness import api

    found = api.compare(
        before, after, data=data, split=split, protocol=protocol, metric=metric, home=home
    )
    if output is not None:
        from harness.studies.plots import draw_comparison

        draw_comparison(found, output)
        say(f"wrote {output}", err=True)
    if as_json:
        counts = {name: getattr(found, name) for name in ("improved", "reduced", "unchanged")}
        pairs = [pair._asdict() for pair in found.pairs]
        say(json.dumps({**asdict(found), "pairs": pairs, **counts}, indent=1))
    else:
        say(repr(found))
