"""``harness leaderboard``: measured beside published accuracies."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import click

from harness.cli.add import add_option, add_submissions
from harness.cli.board_site import site_option, write_board_site
from harness.cli.say import say
from harness.scores import METRICS, Metric

FORMATS = ("table", "markdown", "csv", "json", "latex", "html")


@click.command("leaderboard")
@click.option("--format", "form", type=click.Choice(FORMATS), default="table", show_default=True)
@click.option(
    "--data", "edition", metavar="EDITION", help='Only this edition, for example "webvision 1.0".'
)
@click.option("--split", metavar="SPLIT", help="Only this split: val, test or ilsvrc.")
@click.option(
    "--seed", "seeds", type=int, multiple=True, help="Only runs of this seed; repeatable."
)
@click.option(
    "--epoch",
    type=click.Choice(("last", "best", "both")),
    default="last",
    show_default=True,
    help="Scores of the last epoch, of the best epoch on val, or of both.",
)
@click.option(
    "--sort",
    type=click.Choice(METRICS),
    default="top1",
    show_default=True,
    help="Accuracy that sorts the rows.",
)
@click.option(
    "--published/--no-published", default=True, show_default=True, help="Show published rows."
)
@click.option(
    "--show",
    type=click.Choice(("all", "scores", "noise")),
    default="all",
    show_default=True,
    help="Accuracies, quality of noise detection, or both; csv and json contain one of them, by "
    "default the accuracies.",
)
@click.option(
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write the board to this file.",
)
@site_option
@add_option
@click.pass_obj
def leaderboard(  # noqa: PLR0913 - one parameter per option
    home: Path,
    form: str,
    edition: str | None,
    split: str | None,
    seeds: tuple[int, ...],
    epoch: Literal["last", "best", "both"],
    sort: Metric,
    published: bool,
    show: Literal["all", "scores", "noise"],
    output: Path | None,
    add: tuple[Path, ...],
    site: Path | None,
) -> None:
    """Show measured and published accuracies.

    One table per edition, split and protocol. Runs that differ only in their seed are one row: the
    mean, and with two seeds or more the sample standard deviation. Time is device time.

    \b
    Examples:
      harness leaderboard
      harness leaderboard --data synthweb --split test --no-published
      harness leaderboard --epoch both --sort top5 --format markdown
      harness leaderboard --format html --output board.html
      harness leaderboard --add submission.zip --data synthweb:tiny
      harness leaderboard --site board/
    """
    if add:
        add_submissions(home, add, edition)
        return
    if site is not None:
        write_board_site(home, site, seeds)
        return
    from harness.store.files import write_text
    from harness.studies.standing import verified_records
    from harness_leaderboard.formats import clean, render
    from harness_leaderboard.published import load_published
    from harness_leaderboard.table import make_board, narrow

    found = verified_records(home, seeds, lambda line: say(line, err=True))
    board = make_board(
        found.records,
        load_published() if published else (),
        epochs=("last", "best") if epoch == "both" else (epoch,),
        sort=sort,
        unverified=found.unverified,
    )
    text, notes = render(narrow(board, edition=edition, split=split), form, show)
    if output is None:
        say(text, end=False)
    else:
        write_text(output, text)
        notes = [*notes, f"wrote {output}"]
    for line in (*(f"left out: {problem}" for problem in found.problems), *notes):
        say(clean(line), err=True)
