"""``harness data``: look at a data set, draw it, index or pack its pictures."""

from __future__ import annotations

import click

from harness.cli.lazy import LazyGroup


@click.group(cls=LazyGroup, prefix="harness.cli.data_", order=("check", "stats", "index", "pack"))
def data() -> None:
    """Check, draw, index and pack WebVision's data sets.

    \b
    Examples:
      harness data check /data/webvision
      harness data stats /data/webvision
      harness data index /data/webvision
    """
