"""``harness serve``: the board's site on this machine, following the runs."""

from __future__ import annotations

import tempfile
from pathlib import Path

import click

from harness.cli.say import say
from harness.cli.strict import StrictCommand


@click.command(cls=StrictCommand)
@click.option(
    "--port",
    type=click.IntRange(0, 65_535),
    default=8000,
    show_default=True,
    help="Port on this machine; 0: any free port.",
)
@click.pass_obj
def serve(home: Path, port: int) -> None:
    """Show the board's site on this machine, and the stages that train now.

    Nobody else can reach it: it listens on 127.0.0.1. The pages are written again when a run ends.
    Ctrl-C ends it.

    \b
    Examples:
      harness serve
      harness serve --port 8080
    """
    from harness_leaderboard.site.serve import Server

    with tempfile.TemporaryDirectory(prefix="harness-site-") as folder:
        server = Server(home, Path(folder), port)
        say(f"{server.address} (Ctrl-C ends it)")
        try:
            server.run()
        except KeyboardInterrupt:
            say("ended", err=True)
