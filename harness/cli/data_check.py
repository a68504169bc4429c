"""``harness data check``: what a data set contains, and what in it would stop a run."""

from __future__ import annotations

import json
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from harness.cli.devices import node_options, on_devices
from harness.cli.editions import edition_option
from harness.cli.local_rank import local_rank_option
from harness.cli.own_pictures import own_kind, own_tables
from harness.cli.say import say
from harness.cli.strict import StrictCommand
from harness.data.webvision.lists.editions import EDITIONS
from harness.errors import HarnessError
from harness.machine.place import Place, read_place
from harness.progress import ProgressLine
from harness.terminal import visible, visible_in

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from harness.data.webvision.check.images import Images
    from harness.data.webvision.check.report import IndexBases, Report


@click.command(cls=StrictCommand)
@click.argument("path", type=click.Path(path_type=Path))
@edition_option
@click.option(
    "--images",
    type=click.Choice(("none", "sample", "all")),
    default="sample",
    show_default=True,
    help="Images to look for and decode; sample: look for 2,000 and decode 200 of them.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the report as JSON.")
@node_options
@local_rank_option
def check(path: Path, edition: str, images: Images, as_json: bool, node: Place) -> None:
    """Check the lists, metadata and images of a WebVision edition, or your own pictures.

    Counts entries and files by source and class. Finds names that collide, lists that disagree,
    and images that are missing or broken. Exits with status 1 if something would stop a run.

    Of a folder with a folder for each class, or a table with columns path and label, every
    picture is decoded; --images all does so again for those that were decoded before.

    One process uses all cores of a machine. Several machines divide the pictures of WebVision:
    start the command on each, by srun, torchrun or with --nodes, on a disk that all of them see.

    \b
    Examples:
      harness data check /data/webvision
      harness data check /data/webvision --images all --json
      harness data check folder:/data/pictures
      srun --ntasks-per-node 1 harness data check /shared/webvision --images all
    """
    from harness.spec import default_home

    kind, own = own_kind(str(path), edition)
    if kind:
        if _several(node):
            raise HarnessError(
                f"one process checks {kind}: pictures, with all cores; start the command once, "
                "without a launcher or --nodes"
            )
        _check_own(kind, own, fresh=images == "all", as_json=as_json)
        return
    from harness.data.webvision.check.one_pass import check as check_data

    ask = partial(check_data, path, edition=edition, images=images, home=default_home())
    report, first = _check_together(ask, node)
    if not first:
        return  # a launcher ends all processes as soon as one exits with another status than 0
    say(json.dumps(report.as_json(), indent=1) if as_json else "\n\n".join(_tables(report)))
    if report.stops_a_run:
        raise SystemExit(1)


def _check_together(ask: Callable[..., Report], node: Place) -> tuple[Report, bool]:
    """Return the report, and whether this process is the first, in each that was started."""
    if not _several(node):
        with ProgressLine() as line:
            return ask(progress=line.step), True
    with on_devices(0, None, node):
        from harness.training.ranks import join_ranks

        ranks = join_ranks()
        with ProgressLine() if ranks.first else nullcontext() as shown:
            report = ask(ranks=ranks, **({"progress": shown.step} if shown else {}))
    return report, ranks.first


def _several(node: Place) -> bool:
    """Whether several processes were started, or are asked for."""
    return read_place() is not None or node.world_size > 1


def _check_own(kind: str, path: str, *, fresh: bool, as_json: bool) -> None:
    from harness.data.own_pictures.check import check_own
    from harness.spec import default_home

    report = check_own(kind, path, default_home(), fresh=fresh)
    say(json.dumps(report.as_json(), indent=1) if as_json else "\n\n".join(own_tables(report)))
    if report.stops_a_run:
        raise SystemExit(1)


def _tables(report: Report) -> Iterator[str]:
    yield (
        f"{report.root}: {EDITIONS[report.edition].title}, {report.layout}, "
        f"{report.num_classes:,} classes"
    )
    if report.sources:
        yield _table(
            ("training list", "entries", "files", "repeated", "shared names", "queries", "classes"),
            [
                (
                    count.source,
                    count.entries,
                    count.files,
                    count.repeated_lines,
                    count.shared_names,
                    count.queries,
                    count.classes,
                )
                for count in report.sources
            ],
        )
    for found, table in (
        (report.classes, _classes),
        (report.eval_splits, _eval_table),
        (report.texts, _texts),
        (report.images, _images),
        (report.archives, _archives),
    ):
        if found:
            yield table(report)
    if report.bases:
        yield _bases(report.bases)
    places = [place for count in report.images for place in count.places]
    if places:
        yield "\n".join(
            (
                "pictures that are missing or broken (the first of each split):",
                *map(visible, places),
            )
        )
    yield _verdict(report)


def _bases(bases: IndexBases) -> str:
    return (
        f"queries_synsets_map.txt: queries count from {bases.query} ({bases.query_told_by}), "
        f"synsets from {bases.synset} ({bases.synset_told_by})"
    )


def _verdict(report: Report) -> str:
    found = [f"{finding.level}: {visible(finding.text)}" for finding in report.findings]
    found.append("a run would stop" if report.stops_a_run else "nothing here would stop a run")
    return "\n".join(found)


def _classes(report: Report) -> str:
    """Return the table of the rarest and the largest class."""
    by_size = sorted(report.classes, key=lambda known: known.total)
    rows = [
        (name, known.wnid, known.words[:40], *known.entries.values(), known.total, known.files)
        for name, known in (("rarest", by_size[0]), ("largest", by_size[-1]))
    ]
    sources = tuple(report.classes[0].entries)
    table = _table(("class", "wnid", "words", *sources, "entries", "files"), rows)
    if report.imbalance is None:
        return table
    return f"{table}\nimbalance (largest over rarest): {report.imbalance:.1f}"


def _eval_table(report: Report) -> str:
    return _table(
        ("split", "entries", "labels", "per class"),
        [
            (
                count.split,
                count.entries,
                "yes" if count.labelled else "not public",
                f"{count.smallest} to {count.largest}" if count.labelled else "",
            )
            for count in report.eval_splits
        ],
    )


def _texts(report: Report) -> str:
    return _table(
        ("texts of", "title", "description", "tags", "positions from", "other ids", "broken files"),
        [
            (
                count.source,
                f"{count.title:.1%}",
                f"{count.description:.1%}",
                f"{count.tags:.1%}",
                "unknown" if count.position_base is None else count.position_base,
                count.other_ids,
                count.broken_files,
            )
            for count in report.texts
        ],
    )


def _images(report: Report) -> str:
    return _table(
        ("pictures of", "listed", "looked for", "missing", "decoded", "broken", "variant"),
        [
            (
                count.split,
                count.listed,
                count.looked_for,
                count.missing,
                count.decoded,
                count.unreadable,
                count.variant,
            )
            for count in report.images
        ],
    )


def _archives(report: Report) -> str:
    return _table(
        ("archive", "bytes", "entries", "state"),
        [(known.name, known.bytes, known.entries, known.state) for known in report.archives],
    )


def _table(head: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    from tabulate import tabulate

    return tabulate(visible_in(rows), headers=head, tablefmt="simple", intfmt=",")
