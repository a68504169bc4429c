"""``harness tensorboard``: the curves of all runs in a browser."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from harness.cli.strict import StrictCommand


@click.command(cls=StrictCommand)
@click.option("--port", type=click.IntRange(0, 65_535), default=6006, show_default=True)
@click.option(
    "--host", default="127.0.0.1", show_default=True, help="Address to listen on: this machine."
)
@click.pass_obj
def tensorboard(home: Path, port: int, host: str) -> None:
    """Start TensorBoard on the runs of HOME: curves, pictures, histograms and hyper-parameters.

    Ctrl-C ends it.

    \b
    Examples:
      harness tensorboard
      harness tensorboard --port 6007
    """
    from harness.errors import HarnessError
    from harness.store.curves import curves_folder

    folder = curves_folder(home)
    if not folder.is_dir():
        raise HarnessError(f"there are no curves in {folder} yet; begin a run with harness run")
    from tensorboard import program

    # In this process: another one's "-m" would import from the working folder.
    board = program.TensorBoard()
    board.configure(
        argv=["tensorboard", "--logdir", str(folder), "--host", host, "--port", str(port)]
    )
    if board.main():
        sys.exit(2)  # TensorBoard has printed why, such as a port that is taken
