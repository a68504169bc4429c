"""``harness data``: check, plot, index or pack a data set."""

from __future__ import annotations

import click

from harness.cli.lazy import LazyGroup


@click.group(cls=LazyGroup, prefix="harness.cli.data_", order=("check", "stats", "index", "pack"))
def data() -> None:
    """Check, plot, index and pack WebVision data sets; check and plot your own pictures.

    \b
    Examples:
      harness data check /data/webvision
      harness data stats /data/webvision
      harness data index /data/webvision
      harness data check folder:/data/pictures
    """
