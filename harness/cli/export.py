"""``harness export``: runs packed for others."""

from __future__ import annotations

from pathlib import Path

import click

from harness.cli.say import say


@click.command()
@click.argument("runs", metavar="RUN...", nargs=-1, required=True)
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    required=True,
    help="Zip to write.",
)
@click.pass_obj
def export(home: Path, runs: tuple[str, ...], output: Path) -> None:
    """Pack runs with their predictions, plan and environment, for others' boards.

    RUN is the id of a record, the start of an id, or a label of the board, which names the runs of
    all its seeds. Each record is verified before it is packed.

    \b
    Examples:
      harness export baseline -o baseline.zip
      harness export baseline-seed0-0123456789abcdef -o submission.zip
    """
    from harness.store.runs import named_records
    from harness.submissions.pack import pack

    records = named_records(home, runs)
    pack(home, records, output)
    say(f"packed {len(records)} records in {output}", err=True)
