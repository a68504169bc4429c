"""The option for the edition of WebVision, which commands on a folder share."""

from __future__ import annotations

import click

from harness.data.webvision.lists.editions import EDITIONS

edition_option = click.option(
    "--edition",
    type=click.Choice(("auto", *EDITIONS)),
    default="auto",
    show_default=True,
    help="Edition in PATH; auto: read it from the lists.",
)
