"""``harness score``: a challenge's file of predictions, checked strictly and scored."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from harness.cli.say import say
from harness.cli.strict import StrictCommand

if TYPE_CHECKING:
    from collections.abc import Iterator

    from harness.submissions.challenge import ChallengeScore

SHOWN = 20  # problems that are printed


@click.command(cls=StrictCommand)
@click.argument("file", type=click.Path(path_type=Path))
@click.option(
    "--data",
    metavar="NAME[:PATH][?KEY=VALUE]",
    required=True,
    help="Data set whose pictures were predicted.",
)
@click.option("--split", default="test", show_default=True, help="Split that was predicted.")
@click.option("--json", "as_json", is_flag=True, help="Print scores and problems as JSON.")
@click.pass_obj
def score(home: Path, file: Path, data: str, split: str, as_json: bool) -> None:
    """Check a WebVision challenge file line by line, and score it.

    FILE is a zip with predictions.txt, or the text itself. Exits with status 2 if anything is
    wrong: a label out of range or repeated, a picture that is missing, doubled or of another split.
    If the labels of the split are not public, a file with nothing wrong is not scored: that is
    said, and the status is 0.

    \b
    Examples:
      harness score predictions.zip --data webvision1:/data/webvision
      harness score val.zip --data synthweb:tiny --split val
    """
    from harness.assembly.data_sets import load_pictures
    from harness.submissions.challenge import (
        challenge_text,
        doubts,
        other_pictures,
        picture_names,
        read_answers,
        score_answers,
    )

    text = challenge_text(file)
    samples = load_pictures(home, data, split)
    answers, problems = read_answers(text, samples.num_classes)
    if answers.names:
        problems += other_pictures(answers, picture_names(samples.files.tolist()))
    notes = list(doubts(answers))
    found = None if problems or not samples.has_labels else score_answers(answers, samples)
    unscored = "" if samples.has_labels else f"the labels of {split} of {data} are not public"
    if as_json:
        said = _as_json(found) if found else None
        whole = {"problems": problems, "doubts": notes, "scores": said, "unscored": unscored}
        say(json.dumps(whole, indent=1))
    else:
        right = "" if problems or not unscored else f"{len(answers.names)} lines, all are correct"
        say("\n".join(_lines(found, problems, notes, right and f"{right}; not scored: {unscored}")))
    if problems:
        sys.exit(2)


def _lines(
    found: ChallengeScore | None, problems: list[str], notes: list[str], unscored: str
) -> Iterator[str]:
    from tabulate import tabulate

    if found is not None:
        rows = [
            (name, f"{top.flat:.2%}", f"{top.class_mean:.2%}", f"{1 - top.class_mean:.2%}")
            for name, top in (("top-1", found.top1), ("top-5", found.top5))
        ]
        headers = (f"{found.images} pictures", "flat", "class mean", "class-mean error")
        yield str(tabulate(rows, headers, colalign=("left", "right", "right", "right")))
    if unscored:
        yield unscored
    yield from problems[:SHOWN]
    if len(problems) > SHOWN:
        yield f"... and {len(problems) - SHOWN} more"
    if problems:
        yield f"not scored: {len(problems)} problems"
    yield from (f"note: {one}; the challenge accepts that" for one in notes)


def _as_json(found: ChallengeScore) -> dict[str, float]:
    said: dict[str, float] = {"images": found.images}
    for name, top in (("top1", found.top1), ("top5", found.top5)):
        said |= {name: top.flat, f"{name}_class_mean": top.class_mean}
    return said
