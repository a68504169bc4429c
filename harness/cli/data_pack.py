"""``harness data pack``: plain folders into standard tar archives."""

from __future__ import annotations

import json
import os
from dataclasses import asdict
from pathlib import Path

import click

from harness.cli.data_index import describe
from harness.cli.say import say
from harness.cli.strict import StrictCommand
from harness.progress import ProgressLine

MOST_SHOWN = 20  # broken pictures


@click.command(cls=StrictCommand)
@click.argument("path", type=click.Path(path_type=Path))
@click.argument("output", type=click.Path(file_okay=False, path_type=Path))
@click.option(
    "--short-side",
    type=click.IntRange(16, 65_536),
    default=256,
    show_default=True,
    metavar="PIXELS",
    help="Shrink images to this short side; smaller ones are not changed.",
)
@click.option("--untouched", is_flag=True, help="Copy every image byte for byte.")
@click.option(
    "--quality",
    type=click.IntRange(1, 100),
    default=90,
    show_default=True,
    help="JPEG quality of images that are shrunk.",
)
@click.option(
    "--shard-mib",
    type=click.IntRange(1, 1 << 20),
    default=1024,
    show_default=True,
    help="Largest size of an archive, in MiB.",
)
@click.option("--skip-broken", is_flag=True, help="Leave out unreadable images and list them.")
@click.option(
    "--threads",
    type=click.IntRange(1, 256),
    help="Threads that decode and encode.  [default: one per core]",
)
@click.option("--json", "as_json", is_flag=True, help="Print the counts as JSON.")
def pack(  # noqa: PLR0913 - one argument per option
    path: Path,
    output: Path,
    short_side: int,
    untouched: bool,
    quality: int,
    shard_mib: int,
    skip_broken: bool,
    threads: int | None,
    as_json: bool,
) -> None:
    """Write a data set of plain folders into standard tar archives, and index them.

    PATH has the layout of WebVision or is a synthweb data set. The archives in OUTPUT contain the
    images in the order of the lists; any tar program reads them. After an interruption, the same
    command continues.

    \b
    Examples:
      harness data pack /data/webvision /data/packed
      harness data pack /data/webvision /data/packed --untouched --shard-mib 512
    """
    from harness.data.webvision.pack.pictures import Packing
    from harness.data.webvision.pack.write import pack as pack_folders

    packing = Packing(
        short_side=None if untouched else short_side, quality=quality, shard_bytes=shard_mib << 20
    )
    with ProgressLine() as line:
        packed = pack_folders(
            path,
            output,
            packing,
            skip_broken=skip_broken,
            threads=threads or len(os.sched_getaffinity(0)),
            progress=line.show,
        )
    if as_json:
        about = asdict(packed)
        about["built"]["index"] = str(packed.built.index)
        say(json.dumps(about, indent=1))
        return
    broken = [*packed.broken[:MOST_SHOWN]]
    if len(packed.broken) > MOST_SHOWN:
        broken.append(f"{len(packed.broken) - MOST_SHOWN} more")
    for problem in broken:
        say(f"left out: {problem}")
    from humanize import naturalsize

    size = naturalsize(packed.bytes)
    say(f"{packed.pictures:,} pictures in {packed.archives} archives, {size}")
    if packed.broken:
        say(f"{len(packed.broken):,} broken pictures were left out")
    say("\n".join(describe(packed.built)))
