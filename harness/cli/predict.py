"""``harness predict``: a run's predictions in the form of a challenge."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from harness.cli.say import say

if TYPE_CHECKING:
    from harness.scores import Epoch


@click.command()
@click.argument("run", metavar="RUN")
@click.option("--split", default="test", show_default=True, help="Split that was predicted.")
@click.option(
    "--protocol",
    metavar="NAME",
    help='Views of each picture, for example "10 views".  [default: the method\'s own]',
)
@click.option(
    "--epoch",
    type=click.Choice(("last", "best", "averaged")),
    default="last",
    show_default=True,
    help="Weights that predicted.",
)
@click.option(
    "--format",
    "form",
    type=click.Choice(("webvision",)),
    default="webvision",
    show_default=True,
    help="webvision: a zip with predictions.txt, as the challenge takes it.",
)
@click.option(
    "-o", "--output", type=click.Path(path_type=Path), required=True, help="Zip to write."
)
@click.pass_obj
def predict(  # noqa: PLR0913 - one parameter per option
    home: Path, run: str, split: str, protocol: str | None, epoch: Epoch, form: str, output: Path
) -> None:
    """Write a finished run's predictions in the form of a challenge.

    RUN is the id of a record, or the start of one.

    \b
    Examples:
      harness predict baseline-seed0-0123456789abcdef -o predictions.zip
      harness predict baseline-seed0 --split val --protocol "1 view" -o val.zip
    """
    del form  # there is one
    from harness.errors import HarnessError, unknown
    from harness.store.runs import named_records
    from harness.submissions.challenge import write_challenge
    from harness.testing.predictions import load_predictions

    records = named_records(home, [run])
    if len(records) > 1:
        ids = ", ".join(record.id for record in records)
        raise HarnessError(f"{run!r} names {len(records)} runs: {ids}; name one of them")
    (record,) = records
    splits = dict.fromkeys(score.split for score in record.scores)
    if split not in splits:
        raise HarnessError(unknown("split", split, splits, listing=f"predicted by {record.id}"))
    own = [score.protocol for score in record.scores if score.split == split][-1]
    kept = load_predictions(home, record, split, protocol or own, epoch)
    write_challenge(output, kept)
    say(f"wrote {output}: {len(kept.labels)} pictures of {split}, {protocol or own}", err=True)
