"""``harness compare``: two runs on the same test images."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import click

from harness import api
from harness.cli.completion import complete_data, complete_run
from harness.cli.say import say
from harness.cli.strict import StrictCommand
from harness.scores import METRICS, PLAIN, Metric


@click.command(cls=StrictCommand)
@click.argument("before", metavar="FIRST", shell_complete=complete_run)
@click.argument("after", metavar="SECOND", shell_complete=complete_run)
@click.option("--split", help="test, val or ilsvrc.  [default: the first that both were scored on]")
@click.option(
    "--protocol",
    default=PLAIN,
    show_default=True,
    metavar="VIEWS",
    help="Views, as on the board.",
)
@click.option("--metric", type=click.Choice(METRICS), default="top1", show_default=True)
@click.option(
    "--data",
    metavar="NAME[:PATH][?KEY=VALUE]",
    shell_complete=complete_data,
    help="Data set of both: selects the runs and names the categories.",
)
@click.option(
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE.html|svg|png",
    help="Write the comparison as a page, or draw it: svg and png need matplotlib (extra: plots).",
)
@click.option("--json", "as_json", is_flag=True, help="Print the comparison as JSON.")
@click.pass_obj
def compare(  # noqa: PLR0913 - one parameter per option
    home: Path,
    before: str,
    after: str,
    split: str | None,
    protocol: str,
    metric: Metric,
    data: str | None,
    output: Path | None,
    as_json: bool,
) -> None:
    """Compare two runs on the same test images.

    FIRST and SECOND are each a row of the board with all its seeds (by name, label or method), or
    one record (by id, by the beginning of its id, or by file). Prints the accuracy of SECOND minus
    that of FIRST, with its interval, and the categories that improved, got worse or did not change.

    \b
    Examples:
      harness compare baseline malong_curriculum
      harness compare "malong_curriculum model=B" malong_curriculum --metric top5
      harness compare baseline-seed0 baseline-seed1 --output seeds.html
    """
    is_page = output is not None and output.suffix.lower() == ".html"
    if output is not None and not is_page:
        from harness.figures import picture_format

        picture_format(output)  # before anything is read
    found = api.compare(
        before, after, data=data, split=split, protocol=protocol, metric=metric, home=home
    )
    if output is not None:
        if is_page:
            from harness.store.files import write_text
            from harness.studies.pages import comparison_page

            write_text(output, comparison_page(found))
        else:
            from harness.studies.plots import draw_comparison

            draw_comparison(found, output)
        say(f"wrote {output}", err=True)
    if as_json:
        counts = {name: getattr(found, name) for name in ("improved", "reduced", "unchanged")}
        pairs = [pair._asdict() for pair in found.pairs]
        say(json.dumps({**asdict(found), "pairs": pairs, **counts}, indent=1))
    else:
        say(repr(found))
