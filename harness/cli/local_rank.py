"""The option that DeepSpeed's launcher and torch's old one add."""

from __future__ import annotations

import os

import click


def _keep_local_rank(ctx: click.Context, param: click.Parameter, value: int | None) -> None:
    del ctx, param
    if value is not None:
        os.environ["LOCAL_RANK"] = str(value)


# DeepSpeed's launcher and torch's old one put this option before all other arguments.
local_rank_option = click.option(
    "--local_rank",
    "--local-rank",
    type=click.IntRange(0),
    hidden=True,
    expose_value=False,
    callback=_keep_local_rank,
)
