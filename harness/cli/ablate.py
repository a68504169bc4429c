"""``harness ablate``: what each trick of a method contributes."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from harness.cli.devices import device_options
from harness.cli.options import run_options, run_spec
from harness.cli.say import say
from harness.cli.strict import StrictCommand
from harness.cli.submission import here_or_submitted, submit_options
from harness.errors import HarnessError
from harness.scores import METRICS
from harness.terminal import note

if TYPE_CHECKING:
    from harness.jobs.submission import Scheduler
    from harness.studies.ablation import Ablation, AblationCost, AblationRow
    from harness.studies.contributions import Outcomes, TrickEffect

PARTS = ("left_out", "alone")


@click.command(cls=StrictCommand)
@run_options
@click.option(
    "--seeds",
    type=click.IntRange(1, 1_000),
    default=3,
    show_default=True,
    help="Number of seeds, starting at --seed.",
)
@click.option("--split", help="test, val or ilsvrc.  [default: the first with labels]")
@click.option("--dry-run", is_flag=True, help="Print what it would cost and run nothing.")
@device_options
@submit_options
@click.option(
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE.html",
    help="Also write the contributions as a page.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the contributions as JSON.")
@click.pass_obj
def ablate(  # noqa: PLR0913 - one parameter per option
    home: Path,
    /,
    seeds: int,
    split: str | None,
    dry_run: bool,
    gpus: int | None,
    cpu_ranks: int | None,
    submit: Scheduler | None,
    submit_with: tuple[str, ...],
    output: Path | None,
    as_json: bool,
    **asked: Any,
) -> None:
    """Leave out each trick of a method in turn, and add each alone to the baseline.

    Prints how many points of accuracy each trick adds, with 95 % intervals, on the same seeds and
    test images. A stage that several runs share is trained once. A trick in several stages is one
    row. After Ctrl-C, the same command continues.

    \b
    Examples:
      harness ablate --plugin malong_curriculum
      harness ablate --plugin malong_curriculum --set model=B --seeds 5
      harness ablate --plugin malong_curriculum --dry-run
      harness ablate --plugin huawei --gpus 8 --submit slurm --submit-option slurm_partition=gpu
    """
    if output is not None and output.suffix.lower() != ".html":
        raise HarnessError(f"--output {output}: the page of an ablation ends in .html")
    spec = run_spec(home, asked)
    with here_or_submitted(submit, submit_with, gpus, cpu_ranks) as jobs:
        from harness.assembly.knob_effects import check_knobs
        from harness.studies.ablation import ablation, cost_of
        from harness.studies.contributions import Outcomes
        from harness.studies.sweep import find_finished, sweep
        from harness.training.engines import usable_engine

        check_knobs(spec)
        plan = ablation(usable_engine(spec), seeds)
        cost = cost_of(plan)
        if dry_run and as_json:
            say(json.dumps(_cost(plan, cost), indent=1))
        else:
            say("\n".join(_cost_lines(plan, cost)), err=not dry_run)
        if dry_run:
            return
        if jobs and not jobs.done(plan.runs, home):
            return
        outcomes = Outcomes(
            find_finished(plan.runs, jobs.ranks) if jobs else sweep(plan.runs, note)
        )
        split = outcomes.split(split)
        found = [
            [outcomes.contribution(getattr(row, part), plan.seeds, split) for part in PARTS]
            for row in plan.rows
        ]
    if output is not None:
        from harness.store.files import write_text
        from harness.studies.pages import ablation_page

        write_text(output, ablation_page(plan, found, split, _levels(plan, outcomes, split)))
        note(f"wrote {output}")
    if as_json:
        rows = [_json(row, worth) for row, worth in zip(plan.rows, found, strict=True)]
        label, chosen = plan.method.label, list(plan.seeds)
        say(json.dumps({"label": label, "split": split, "seeds": chosen, "tricks": rows}, indent=1))
    else:
        say("\n".join(_lines(plan, outcomes, found, split)))


def _cost(plan: Ablation, cost: AblationCost) -> dict[str, Any]:
    seconds = cost.seconds._asdict() if cost.seconds else None
    tricks = [
        {
            **row.trick._asdict(),
            **{part: getattr(row, part).reason or "to be run" for part in PARTS},
            "base": row.alone.base,
        }
        for row in plan.rows
    ]
    return {"label": plan.method.label, **cost._asdict(), "seconds": seconds, "tricks": tricks}


def _cost_lines(plan: Ablation, cost: AblationCost) -> Iterator[str]:
    yield f"{plan.method.label} on {plan.method.data}, {_seeds(plan)}"
    yield (
        f"{cost.runs} runs ({cost.finished_runs} finished) of {cost.stages} different stages "
        f"({cost.finished_stages} finished)"
    )
    if cost.stages == cost.finished_stages:
        yield "nothing is left to train"
    elif cost.seconds is None:
        yield "training time left: unknown: no earlier run used this network"
    else:
        yield f"training time left: {cost.seconds}, on one device: {cost.hardware}"
    for row in plan.rows:
        alone = row.alone
        where = f"on {alone.base}" if alone.spec else f"no run, {alone.reason}"
        yield f"{row.trick.name}, alone: {where}"


def _seeds(plan: Ablation) -> str:
    first, last = plan.seeds[0], plan.seeds[-1]
    return f"seeds {first} to {last}" if last > first else f"seed {first}"


def _lines(
    plan: Ablation, outcomes: Outcomes, found: list[list[TrickEffect]], split: str
) -> Iterator[str]:
    from tabulate import tabulate

    yield f"{plan.method.label} on {plan.method.data}, {split}, {_seeds(plan)}"
    yield from _levels(plan, outcomes, split)
    yield ""
    head = (
        *("trick", "slot", "stages", "left out: top-1", "top-5"),
        *("alone on", "top-1", "top-5"),
    )
    rows = [
        (
            row.trick.name,
            ", ".join(row.trick.slots),
            ", ".join(row.trick.stages) or "test",
            *(str(worths[0].intervals.get(metric, "-")) for metric in METRICS),
            row.alone.base or "-",
            *(str(worths[1].intervals.get(metric, "-")) for metric in METRICS),
        )
        for row, worths in zip(plan.rows, found, strict=True)
    ]
    align = (*("left",) * 3, *("right",) * 2, "left", *("right",) * 2)
    yield tabulate(rows, head, disable_numparse=True, colalign=align)
    yield ""
    yield (
        "points that the trick adds, with 95 % intervals; left out: the method minus the method "
        "without it; alone: baseline with it minus baseline, or, if only the method's own stages "
        "have it, those stages with it minus those without any trick; each run with its own views"
    )
    if len(plan.seeds) == 1:
        yield "one seed: the intervals cover image sampling only"
    for row, worths in zip(plan.rows, found, strict=True):
        for part, worth in zip(PARTS, worths, strict=True):
            if worth.reason:
                yield f"{row.trick.name}, {part.replace('_', ' ')}: {worth.reason}"


def _levels(plan: Ablation, outcomes: Outcomes, split: str) -> Iterator[str]:
    """Yield the accuracies of the method and of each baseline."""
    from statistics import fmean

    bases = {row.alone.base: row.alone.against for row in plan.rows}
    for spec in (plan.method, *filter(None, bases.values())):
        records = [outcomes.record(replace(spec, seed=seed)) for seed in plan.seeds]
        scores = [
            [s for s in record.scores if s.split == split and s.epoch == "last"][-1]
            for record in records
            if record is not None
        ]
        if scores:
            top1, top5 = (fmean(getattr(s, name) for s in scores) for name in METRICS)
            yield (
                f"{spec.label}: top-1 {100 * top1:.2f} %, top-5 {100 * top5:.2f} % "
                f"({scores[0].protocol})"
            )


def _json(row: AblationRow, worths: list[TrickEffect]) -> dict[str, Any]:
    from dataclasses import asdict

    return {
        **row.trick._asdict(),
        **{
            part: {
                "reason": worth.reason,
                **({"base": row.alone.base} if part == "alone" else {}),
                **{name: asdict(interval) for name, interval in worth.intervals.items()},
            }
            for part, worth in zip(PARTS, worths, strict=True)
        },
    }
