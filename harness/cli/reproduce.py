"""``harness reproduce``: run the published tables and test their claims."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import click
from click.shell_completion import CompletionItem

from harness.cli.completion import complete_data, complete_field
from harness.cli.devices import device_options
from harness.cli.options import run_spec
from harness.cli.say import say
from harness.cli.strict import StrictCommand
from harness.cli.submission import here_or_submitted, submit_options
from harness.scores import METRICS, metric_label
from harness.spec import ENGINES
from harness.terminal import note

if TYPE_CHECKING:
    from harness.cli.submission import Submission
    from harness.jobs.submission import Scheduler
    from harness.spec import RunSpec
    from harness_reproductions.trials import Trials

PLAINEST = "baseline"
WIDTH = 58  # of a column of words


def complete_table(
    ctx: click.Context, param: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    """Complete the name of a published table."""
    del ctx, param
    from harness_reproductions.tables import all_tables

    names = [table.name for table in all_tables()]
    return [CompletionItem(n) for n in names if n.startswith(incomplete)]


@click.command(cls=StrictCommand)
@click.argument("tables", nargs=-1, metavar="[TABLE]...", shell_complete=complete_table)
@click.option(
    "--data",
    default="",
    metavar="NAME[:PATH][?KEY=VALUE]",
    shell_complete=complete_data,
    help="Data set with its preset or folder.  [default: synthweb:small]",
)
@click.option(
    "--seeds",
    type=click.IntRange(1, 1000),
    default=5,
    show_default=True,
    help="Number of seeds, starting at 0.",
)
@click.option("--list", "listed", is_flag=True, help="List the published tables and run nothing.")
@click.option("--no-run", is_flag=True, help="Use only finished runs.")
@click.option(
    "--stage",
    "overrides",
    multiple=True,
    metavar="[STAGE.]FIELD=VALUE",
    shell_complete=complete_field,
    help="Override a field of the stages of every run; repeatable.",
)
@click.option(
    "--full-size",
    is_flag=True,
    help="Run the recipes unchanged, without the profile of the data set.",
)
@click.option("--engine", type=click.Choice(ENGINES), default="deepspeed", show_default=True)
@device_options
@submit_options
@click.option(
    "--report",
    type=click.Path(file_okay=False, path_type=Path),
    metavar="DIR",
    help="Write a self-contained HTML report into DIR.",
)
@click.option("--markdown", is_flag=True, help="Print tables and verdicts as Markdown.")
@click.option("--json", "as_json", is_flag=True, help="Print tables and verdicts as JSON.")
@click.pass_obj
def reproduce(  # noqa: PLR0913 - one parameter per option
    home: Path,
    /,
    tables: tuple[str, ...],
    seeds: int,
    listed: bool,
    no_run: bool,
    gpus: int | None,
    cpu_ranks: int | None,
    submit: Scheduler | None,
    submit_with: tuple[str, ...],
    report: Path | None,
    markdown: bool,
    as_json: bool,
    **asked: Any,
) -> None:
    """Run the missing rows of the published tables, and test every claim.

    TABLE is the name of a table or of a team; without it, all tables are run. Each claim gets one
    of six verdicts: reproduced, direction only, contradicted, inconclusive, not run yet, or not
    tested at this scale. A stage that several rows share is trained once. After an interruption,
    the same command continues. If a run fails, the others continue and the exit status is 1.

    \b
    Examples:
      harness reproduce --list
      harness reproduce malong/table1 --seeds 3
      harness reproduce huawei --data webvision2:/data/webvision2 --gpus 8
      harness reproduce --seeds 3 --report report
      harness reproduce --no-run --json
      harness reproduce pci --gpus 4 --submit slurm --submit-option slurm_partition=gpu
    """
    from harness_reproductions.tables import all_claims, all_tables, claims_of, find_tables

    if listed:
        _list(as_json=as_json)
        return
    chosen = tuple(dict.fromkeys(t.name for name in tables for t in find_tables(name)))
    wanted = [table for table in all_tables() if not chosen or table.name in chosen]
    about = {claim.name for table in wanted for claim in claims_of(table)}
    claims = [claim for claim in all_claims() if not chosen or claim.name in about]
    plain = run_spec(
        home,
        {"plugin": "", "knobs": (), "extra": (), "without": (), "seed": 0, "deepspeed": None}
        | asked,
    )
    with here_or_submitted(None if no_run else submit, submit_with, gpus, cpu_ranks) as jobs:
        from harness_reproductions.results import results
        from harness_reproductions.trials import Trials, recipes_of

        trials = Trials(plain, range(seeds), recipes_of(wanted, claims))
        if jobs and not jobs.done(_specs(trials, no_run=False), home):
            return
        whole = _make(trials, jobs, no_run=no_run)
        found = results(wanted, claims, trials)
    if report is not None:
        from harness_reproductions.report import write_report

        note(f"report: {write_report(report, found)}")
    if as_json:
        say(json.dumps(found, indent=1))
    else:
        for part in _text(found, markdown=markdown):
            say(part)
    if not whole:
        sys.exit(1)


def _specs(trials: Trials, *, no_run: bool) -> list[RunSpec]:
    """Return all runs, once the data of one of them can be read and the engine is known."""
    from harness.assembly.prepare import prepare

    if not no_run:
        from harness.training.engines import usable_engine

        trials.plain = usable_engine(trials.plain)
    everywhere = tuple(o for o in trials.plain.overrides if not o.stage)
    # A problem of the data is reported once, not by every run.
    prepared = prepare(replace(trials.plain, plugin=PLAINEST, overrides=everywhere))
    trials.plain = replace(trials.plain, data=prepared.spec.data)
    return trials.specs()


def _make(trials: Trials, jobs: Submission | None, *, no_run: bool) -> bool:
    """Make the missing runs, unless jobs did; return whether all could be made."""
    from harness.studies.sweep import find_finished, sweep

    specs = _specs(trials, no_run=no_run)
    no_run = no_run or jobs is not None
    made = find_finished(specs, jobs.ranks if jobs else None) if no_run else sweep(specs, note)
    failed = [outcome.spec for outcome in made if not trials.add(*outcome)]
    return no_run or not failed


def _list(*, as_json: bool) -> None:
    from harness_reproductions.tables import all_tables, claims_of

    tables = [
        {
            "name": table.name,
            "title": table.title,
            "rows": len(table.rows),
            "claims": len(claims_of(table)),
            "source": table.source,
        }
        for table in all_tables()
    ]
    if as_json:
        say(json.dumps(tables, indent=1))
        return
    from tabulate import tabulate

    say(tabulate(tables, "keys", "plain"))


def _text(found: Mapping[str, Any], *, markdown: bool) -> Iterator[str]:
    from tabulate import tabulate

    # Viewers of Markdown wrap cells.
    style, width, head = ("github", None, "### ") if markdown else ("simple", WIDTH, "")
    for table in found["tables"]:
        yield f"\n{head}{table['name']}: {table['title']}\n"
        yield f"Published on {table['published_on']}. {table['source']}.\n"
        headers = (
            "row",
            *(f"{kind} {metric_label(m)}" for kind in ("published", "here") for m in METRICS),
        )
        yield tabulate([_row(row) for row in table["rows"]], (*headers, "seeds"), style)
    if found["claims"]:
        yield f"\n{head}Claims, in points of accuracy, with 95 % intervals\n"
        headers = ("claim", "published", "measured", "verdict", "why")
        widths = [width, None, None, None, width]
        rows = [_claim(claim) for claim in found["claims"]]
        yield tabulate(rows, headers, style, maxcolwidths=widths)
    for compared in found["categories"]:
        yield f"\n{head}Categories: {compared['better']} against {compared['worse']}\n"
        counts_of = [(kind, *compared[kind]) for kind in ("published", "measured")]
        yield tabulate(counts_of, ("", "improved", "reduced", "unchanged"), style)
    counts = ", ".join(f"{count} {outcome}" for outcome, count in found["verdicts"].items())
    yield f"\n{sum(found['verdicts'].values())} claims: {counts}"
    yield (
        f"{found['runs']} runs on {found['data']}, seeds {', '.join(map(str, found['seeds']))}; "
        f"{found['stages']} stages trained in {found['training_seconds']:.0f} s"
    )
    if found["shrunk"] and found["runs"]:
        yield "every recipe was shrunk to this data set: compare signs and differences, not levels"


def _row(row: Mapping[str, Any]) -> list[str]:
    published = [f"{row['published'][m]:.2f}" if m in row["published"] else "" for m in METRICS]
    measured = [_interval(row["measured"].get(metric)) for metric in METRICS]
    seeds = str(len(row["seeds"])) if row["asked"] else "; ".join(row["reasons"])[:WIDTH]
    return [row["name"], *published, *measured, seeds]


def _interval(found: Mapping[str, float] | None, sign: Literal["", "+"] = "") -> str:
    if found is None:
        return ""
    return f"{found['mean']:{sign}.2f} ({found['low']:{sign}.1f} to {found['high']:{sign}.1f})"


def _claim(claim: Mapping[str, Any]) -> list[str]:
    return [
        f"{claim['claim']} ({metric_label(claim['metric'])})",
        "" if claim["published"] is None else f"{claim['published']:+.2f}",
        _interval(claim["measured"], "+"),
        claim["verdict"],
        claim["reason"],
    ]
