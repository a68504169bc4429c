"""``harness export``: runs packed for others."""

from __future__ import annotations

from pathlib import Path

import click

from harness.cli.say import say
from harness.cli.strict import StrictCommand


@click.command(cls=StrictCommand)
@click.argument("runs", metavar="RUN...", nargs=-1, required=True)
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    required=True,
    help="Zip to write; with --format huggingface, the folder.",
)
@click.option(
    "--format",
    "form",
    type=click.Choice(("submission", "huggingface")),
    default="submission",
    show_default=True,
    help="submission: a zip that harness leaderboard --add takes; huggingface: weights as "
    "safetensors and a model card, of one run.",
)
@click.option(
    "--benchmark",
    metavar="OWNER/NAME[@REVISION]",
    help="Data set of the Hub that collects such results: adds .eval_results/NAME.yaml.",
)
@click.option("--task", default="default", show_default=True, help="Task of --benchmark.")
@click.option(
    "--source",
    default="",
    metavar="URL",
    help="Link to the source that the result of --benchmark names.",
)
@click.pass_obj
def export(  # noqa: PLR0913 - one parameter per option
    home: Path,
    runs: tuple[str, ...],
    output: Path,
    form: str,
    benchmark: str | None,
    task: str,
    source: str,
) -> None:
    """Pack runs with their predictions, plan and environment, for others' boards.

    RUN is the id of a record, the start of an id, or a label of the board, which names the runs of
    all its seeds. Each record is verified before it is packed.

    \b
    Examples:
      harness export baseline -o baseline.zip
      harness export baseline-seed0-0123456789abcdef -o submission.zip
      harness export baseline-seed0 --format huggingface -o model
    """
    from harness.errors import HarnessError
    from harness.store.runs import named_records
    from harness.submissions.pack import pack

    records = named_records(home, runs)
    if form == "huggingface":
        if len(records) > 1:
            ids = ", ".join(record.id for record in records)
            raise HarnessError(f"--format huggingface takes one run, not {len(records)}: {ids}")
        from harness.submissions.huggingface import Benchmark, write_model

        asked = Benchmark.parse(benchmark, task, source) if benchmark else None
        written = write_model(home, records[0], output, asked)
        say(f"wrote {', '.join(written)} in {output}", err=True)
        return
    if benchmark or source:
        raise HarnessError("--benchmark and --source need --format huggingface")
    pack(home, records, output)
    say(f"packed {len(records)} records in {output}", err=True)
