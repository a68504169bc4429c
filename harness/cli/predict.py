"""``harness predict``: a run's predictions in the form of a challenge."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from harness.cli.completion import complete_data
from harness.cli.say import say
from harness.cli.strict import StrictCommand

if TYPE_CHECKING:
    from harness.scores import Epoch
    from harness.store.record import ResultRecord
    from harness.testing.predictions import StoredPredictions


@click.command(cls=StrictCommand)
@click.argument("run", metavar="RUN")
@click.option("--split", default="test", show_default=True, help="Split to predict.")
@click.option(
    "--data",
    metavar="NAME[:PATH][?KEY=VALUE]",
    shell_complete=complete_data,
    help="Data set of the run, if the split was not scored: its pictures are predicted now.",
)
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
    home: Path,
    run: str,
    split: str,
    data: str | None,
    protocol: str | None,
    epoch: Epoch,
    form: str,
    output: Path,
) -> None:
    """Write a finished run's predictions in the form of a challenge.

    RUN is the id of a record, or the start of one. A split that the run was scored on was predicted
    then. A test without labels is predicted now, with the run's weights: name its data with --data.

    \b
    Examples:
      harness predict baseline-seed0-0123456789abcdef -o predictions.zip
      harness predict baseline-seed0 --data webvision1:/data/webvision -o predictions.zip
      harness predict baseline-seed0 --split val --protocol "1 view" -o val.zip
    """
    del form  # there is one
    from harness.errors import HarnessError
    from harness.store.runs import named_records
    from harness.studies.again import data as data_of
    from harness.submissions.challenge import write_challenge

    records = named_records(home, [run])
    if len(records) > 1:
        ids = ", ".join(record.id for record in records)
        raise HarnessError(f"{run!r} names {len(records)} runs: {ids}; name one of them")
    (record,) = records
    own = [score.protocol for score in record.scores][-1:]  # the views are the same for all splits
    wanted = protocol or next(iter(own), "1 view")
    if any(score.split == split for score in record.scores):
        from harness.testing.predictions import load_predictions

        kept = load_predictions(home, record, split, wanted, epoch)
    elif data is None:
        scored = ", ".join(dict.fromkeys(score.split for score in record.scores)) or "nothing"
        raise HarnessError(
            f"{record.id} was scored on {scored}, not on {split}; to predict the pictures of "
            f"{split} now, add --data {data_of(record)}"
        )
    else:
        kept = _predicted(home, record, data, split, wanted, epoch)
    write_challenge(output, kept)
    say(f"wrote {output}: {len(kept.labels)} pictures of {split}, {wanted}", err=True)


def _predicted(
    home: Path, record: ResultRecord, data: str, split: str, protocol: str, epoch: Epoch
) -> StoredPredictions:
    from harness.api import spec_of
    from harness.assembly.data_sets import load_pictures
    from harness.session.prediction import predict_with
    from harness.studies.again import asked, ranks_of

    spec = spec_of(**{**asked(record), "data": data}, home=home)
    samples = load_pictures(home, data, split)
    return predict_with(record, spec, ranks_of(record), samples, protocol, epoch)
