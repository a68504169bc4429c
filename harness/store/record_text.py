"""A record as text and as HTML: its scores, how well noise was handled, and the training time."""

from __future__ import annotations

from collections.abc import Iterator
from html import escape
from typing import TYPE_CHECKING

from harness.terminal import visible

if TYPE_CHECKING:
    from harness.store.record import NoiseQuality, ResultRecord

HEADERS = ("split", "protocol", "epoch", "top-1", "top-5", "top-1 class mean")
ALIGN = ("left",) * 3 + ("right",) * 3


def record_text(record: ResultRecord) -> str:
    """Return what ``harness run`` prints at its end, without the record's path."""
    return "\n".join([_title(record), _scores(record, "simple"), *_notes(record)])


def record_html(record: ResultRecord) -> str:
    """Return the same as HTML, with all text escaped."""
    notes = "".join(f"<p>{escape(line)}</p>\n" for line in _notes(record))
    return f"<p>{escape(_title(record))}</p>\n{_scores(record, 'html')}\n{notes}"


def _title(record: ResultRecord) -> str:
    return visible(f"{record.label}, seed {record.seed}, on {record.data.edition}")


def _scores(record: ResultRecord, style: str) -> str:
    from tabulate import tabulate

    rows = [
        (
            visible(score.split),
            visible(score.protocol),
            score.epoch,
            f"{score.top1:.2%}",
            f"{score.top5:.2%}",
            f"{score.top1_class_mean:.2%}",
        )
        for score in record.scores
    ]
    return str(tabulate(rows, HEADERS, tablefmt=style, colalign=ALIGN if rows else None))


def _notes(record: ResultRecord) -> Iterator[str]:
    yield from map(_noise, record.noise)
    yield f"training took {record.cost.wall_seconds:.0f} s ({visible(record.cost.engine)})"


def _noise(noise: NoiseQuality) -> str:
    auc = "-" if noise.auc is None else f"{noise.auc:.3f}"
    return (
        f"noise handling of {visible(noise.stage)}: {noise.kept:.0%} kept, of them "
        f"{noise.precision or 0:.1%} clean (of all: {noise.clean:.1%}), AUC {auc}"
    )
