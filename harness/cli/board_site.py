"""``harness leaderboard --site``: the board as a static site."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click

from harness.cli.say import say
from harness.errors import HarnessError

site_option = click.option(
    "--site",
    type=click.Path(file_okay=False, path_type=Path),
    metavar="FOLDER",
    help="Write all boards as a static site: open FOLDER/index.html, or put it on any server.",
)


def refuse_with_site(**options: object) -> None:
    """Raise HarnessError if an option is given that a site, which has all boards, ignores."""
    given = [name for name, value in options.items() if value]
    if given:
        raise HarnessError(f"--site writes every board and table; leave out {' and '.join(given)}")


def write_board_site(home: Path, folder: Path, seeds: Sequence[int]) -> None:
    """Write the site of a home's runs into ``folder``.

    Raises HarnessError if the folder holds something else or cannot be written.
    """
    from harness.machine.garbage import keep
    from harness.studies.standing import verified_records
    from harness_leaderboard.published import load_field, load_published
    from harness_leaderboard.site.pages import Site
    from harness_leaderboard.site.write import write_site

    found = verified_records(home, seeds, lambda line: say(line, err=True))
    keep()
    site = Site(
        home,
        found.records,
        unverified=found.unverified,
        problems=found.problems,
        origins=found.origins,
        published=(*load_published(), *load_field()),
    )
    write_site(site, folder, say)
    for problem in found.problems:
        say(f"left out: {problem}", err=True)
