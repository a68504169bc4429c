"""``harness compare``: what changed from one run to another, image by image."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click

from harness.cli.say import say
from harness.terminal import visible, visible_in

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from harness.studies.comparison import Category, RunComparison

TOP = 8  # categories of each sign: as many as a slide holds


@click.command()
@click.argument("before", metavar="RUN")
@click.argument("after", metavar="RUN")
@click.option("--split", help="test, val or ilsvrc. Default: the first that both were scored on.")
@click.option(
    "--protocol", default="1 view", metavar="VIEWS", help='As on the board. Default: "1 view".'
)
@click.option(
    "--metric", type=click.Choice(("top1", "top5")), default="top1", help="Default: top1."
)
@click.option(
    "--data",
    metavar="NAME[:PATH][?KEY=VALUE]",
    help="The data set that both ran on: chooses runs, and names the categories.",
)
@click.option(
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE.svg|png",
    help="Draw it, too. Needs the extra plots: pip install matplotlib",
)
@click.option("--json", "as_json", is_flag=True, help="Print everything as JSON.")
@click.pass_obj
def compare(  # noqa: PLR0913 - one parameter per option
    home: Path,
    before: str,
    after: str,
    split: str | None,
    protocol: str,
    metric: Literal["top1", "top5"],
    data: str | None,
    output: Path | None,
    as_json: bool,
) -> None:
    """Compare two runs on the same test images: by how much the second beats the first.

    RUN is a row of the board, by its name, its label or its method, with all its seeds; or one
    record, by its id, the beginning of it, or its file. Prints the difference with its interval,
    and the categories that improved, fell and stayed.

    \b
    Examples:
      harness compare baseline malong_curriculum
      harness compare "malong_curriculum model=B" malong_curriculum --metric top5
      harness compare baseline-seed0 baseline-seed1 --output seeds.svg
    """
    if output is not None:
        from harness.figures import picture_format

        picture_format(output)  # before anything is read
    from harness.cli.chosen import two_sides
    from harness.cli.data_sets import load_splits
    from harness.studies.comparison import class_names, compare_runs, first_lemmas

    samples = load_splits(home, data, ("train",))["train"] if data else None
    sides = two_sides(home, (before, after), samples.fingerprint if samples else None)
    run = sides[0].runs[0]
    names = first_lemmas(samples.classes) if samples else class_names(run.record.data, run.home)
    found = compare_runs(*sides, split=split, protocol=protocol, metric=metric, names=names)
    if output is not None:
        from harness.studies.plots import draw_comparison

        draw_comparison(found, output)
        say(f"wrote {output}", err=True)
    if as_json:
        counts = {name: getattr(found, name) for name in ("improved", "reduced", "unchanged")}
        pairs = [pair._asdict() for pair in found.pairs]
        say(json.dumps({**asdict(found), "pairs": pairs, **counts}, indent=1))
    else:
        say("\n\n".join(_parts(found)))


def _parts(found: RunComparison) -> Iterator[str]:
    from harness.statistics.paired import mcnemar

    share = found.difference
    known = "seeds and images" if share.seeds > 1 else "images alone: one seed"
    metric = {"top1": "top-1", "top5": "top-5"}[found.metric]
    split = f"{found.split} ({found.images:,} images)"
    yield (
        f"{visible(found.before)}  ->  {visible(found.after)}\n"
        f"{visible(found.edition)}, {split}, {visible(found.protocol)}, {metric}"
    )
    yield _table(
        ("seed", "before %", "after %", "gained", "lost", "McNemar p"),
        [
            (
                "/".join(map(str, dict.fromkeys(pair.seeds))),
                f"{100 * pair.before:.2f}",
                f"{100 * pair.after:.2f}",
                pair.gained,
                pair.lost,
                f"{pair.p_value:.2g}",
            )
            for pair in found.pairs
        ],
    )
    yield (
        f"difference: {100 * share.estimate:+.2f} points, 95 % interval "
        f"{100 * share.low:+.2f} to {100 * share.high:+.2f} ({known}), p {share.p_value():.2g}\n"
        f"categories: {found.improved} improved, {found.reduced} reduced, {found.unchanged} "
        f"unchanged (p {mcnemar(found.improved, found.reduced):.2g} were it a coin's doing)"
    )
    for title, positive in (("top positive categories", True), ("top negative categories", False)):
        top = found.top(TOP, positive=positive)
        yield f"{title}\n{_categories(top)}" if top else f"{title}: none"


def _categories(top: Sequence[Category]) -> str:
    return _table(
        ("label", "category", "images", "before %", "after %", "points", "95 %", "p", "q"),
        [
            (
                one.label,
                one.name,
                one.images,
                f"{100 * one.before:.1f}",
                f"{100 * one.after:.1f}",
                f"{100 * one.difference:+.1f}",
                f"{100 * one.low:+.1f} to {100 * one.high:+.1f}",
                f"{one.p_value:.2g}",
                f"{one.q_value:.2g}",
            )
            for one in top
        ],
    )


def _table(head: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    from tabulate import tabulate

    align = tuple("left" if name in ("seed", "category") else "right" for name in head)
    return tabulate(visible_in(rows), head, disable_numparse=True, colalign=align)
