"""``harness leaderboard``: which methods beat the baseline, and which cannot be told apart."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Literal

import click

from harness.cli.add import add_option, add_submissions
from harness.cli.board_site import refuse_with_site, site_option, write_board_site
from harness.cli.completion import complete_data, complete_method, complete_seed
from harness.cli.say import say
from harness.cli.strict import StrictCommand
from harness.errors import HarnessError

FORMATS = ("table", "markdown", "csv", "json", "latex", "html")
EPOCHS = ("last", "best", "averaged", "all")
NARROWEST, WIDEST, USUAL = 40, 120, 100  # characters of a table


@click.command("leaderboard", cls=StrictCommand)
@click.option(
    "--data",
    multiple=True,
    metavar="NAME[:PRESET][?KEY=VALUE]",
    shell_complete=complete_data,
    help="Data set as in harness run, without its folder; repeatable.  [default: of the newest "
    "run]",
)
@click.option(
    "--split",
    "splits",
    multiple=True,
    metavar="SPLIT",
    help="test, val or ilsvrc; repeatable.  [default: the first that was scored]",
)
@click.option(
    "--method",
    "methods",
    multiple=True,
    metavar="NAME",
    shell_complete=complete_method,
    help="Only this method, by plugin, label or row; repeatable.",
)
@click.option(
    "--seed",
    "seeds",
    type=int,
    multiple=True,
    shell_complete=complete_seed,
    help="Only runs of this seed; repeatable.",
)
@click.option(
    "--epoch",
    type=click.Choice(EPOCHS),
    help="Which weights to show.  [default: the last; of methods that keep an average, the "
    "average]",
)
@click.option("--published", "kind", flag_value="published", help="Published numbers instead.")
@click.option("--noise", "kind", flag_value="noise", help="Quality of noise detection instead.")
@click.option("--all", "kind", flag_value="all", help="Every table, measured and published.")
@click.option(
    "--format",
    "form",
    type=click.Choice(FORMATS),
    help="Form of the board.  [default: by the suffix of --output, else table]",
)
@click.option(
    "-o",
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE.html|csv|json|md|tex|txt",
    help="Write the board to this file.",
)
@site_option
@add_option
@click.pass_obj
def leaderboard(  # noqa: PLR0913 - one parameter per option
    home: Path,
    data: tuple[str, ...],
    splits: tuple[str, ...],
    methods: tuple[str, ...],
    seeds: tuple[int, ...],
    epoch: Literal["last", "best", "averaged", "all"] | None,
    kind: Literal["published", "noise", "all"] | None,
    form: str | None,
    output: Path | None,
    add: tuple[Path, ...],
    site: Path | None,
) -> None:
    """Show which methods beat the baseline, and which cannot be told apart.

    One board: the data set of the newest run, its test split, each method under its own views, all
    seeds of a method in one row. The lines under the table say what was tested.

    \b
    Examples:
      harness leaderboard
      harness leaderboard --data synthweb:tiny --method baseline --method huawei
      harness leaderboard --published --data webvision1
      harness leaderboard --split val --epoch all -o board.csv
      harness leaderboard -o board.html
      harness leaderboard --add submission.zip --data synthweb:tiny
      harness leaderboard --site board/
    """
    if add:
        add_submissions(home, add, _one(data))
        return
    if site is not None:
        refuse_with_site(
            **{"--data": data, "--split": splits, "--method": methods, "--epoch": epoch},
            **{f"--{kind}": kind, "--format": form, "--output": output},
        )
        write_board_site(home, site, seeds)
        return
    from harness.assembly.data_sets import spelled_as_recorded
    from harness.store.files import write_text
    from harness.studies.standing import verified_records
    from harness_leaderboard.formats import SUFFIXES, clean
    from harness_leaderboard.show import Filters, show, text_of

    if form is None:
        form = SUFFIXES.get(output.suffix.casefold(), "table") if output else "table"
    found = verified_records(home, seeds, lambda line: say(line, err=True))
    asked = Filters(
        data=tuple(spelled_as_recorded(text, home) for text in data),
        splits=splits,
        methods=methods,
        epoch=epoch,
    )
    shown = show(kind or "headline", found.records, home, asked, found.unverified, found.origins)
    width = USUAL if output else shutil.get_terminal_size((USUAL, 24)).columns
    text, notes = text_of(shown, form, max(NARROWEST, min(width, WIDEST)))
    if output is None:
        say(text, end=False)
    else:
        write_text(output, text)
        notes = (*notes, f"wrote {output}")
    for line in (*(f"left out: {problem}" for problem in found.problems), *notes):
        say(clean(line), err=True)


def _one(data: tuple[str, ...]) -> str | None:
    """Return the data set to verify submissions with; raises HarnessError if there are several."""
    if len(data) > 1:
        raise HarnessError(
            f"--add verifies with one data set, but --data is given {len(data)} times; give it once"
        )
    return data[0] if data else None
