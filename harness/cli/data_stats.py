"""``harness data stats``: plots of class sizes, sources, search ranks and texts."""

from __future__ import annotations

from pathlib import Path

import click

from harness.cli.editions import edition_option
from harness.cli.own_pictures import own_kind
from harness.cli.say import say
from harness.cli.strict import StrictCommand
from harness.progress import ProgressLine


@click.command(cls=StrictCommand)
@click.argument("path", type=click.Path(path_type=Path))
@click.option(
    "--output",
    default="stats.svg",
    show_default=True,
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE.svg|png",
    help="File of the plots.",
)
@edition_option
def stats(path: Path, output: Path, edition: str) -> None:
    """Plot class sizes, shares of the sources, search ranks and text coverage.

    Of your own pictures (a folder for each class, or a table) class sizes and picture sizes.
    Needs matplotlib (extra: plots). The same data give the same bytes.

    \b
    Examples:
      harness data stats /data/webvision
      harness data stats /data/webvision --edition mini-webvision --output mini.png
      harness data stats folder:/data/pictures
    """
    from harness.figures import check_matplotlib, picture_format

    picture_format(output)
    check_matplotlib()
    kind, own = own_kind(str(path), edition)
    if kind:
        from harness.data.own_pictures.check import check_own, draw_own
        from harness.spec import default_home

        draw_own(check_own(kind, own, default_home()), output)
        say(f"wrote {output}")
        return
    from harness.data.webvision.check.one_pass import check
    from harness.data.webvision.check.plots import draw

    with ProgressLine() as line:
        report = check(path, edition=edition, images="none", progress=line.step)
    draw(report, output)
    say(f"wrote {output}")
