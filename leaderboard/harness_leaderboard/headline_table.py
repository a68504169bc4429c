"""The headline board as a titled table of text cells, and as one flat list."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pandas as pd

from harness_leaderboard.headline import EpochChoice
from harness_leaderboard.headline_board import (
    HeadlineBoard,
    HeadlineRow,
    Span,
    outcomes_in_words,
    told_apart_in_words,
)
from harness_leaderboard.table import BoardTable, marked, on_submitted, short_time

# What plain text leaves out first if it is too narrow. What stays longest says who beats the
# baseline, at what cost, and whether the row may be believed.
SPARE = (
    *("images", "time", "top-5", "AUC", "tie", "epoch"),
    *("external", "cost", "verified", "seeds"),
)
LEGEND = {
    "AUC": "how well clean labels are separated from wrong ones (0.5 is chance)",
    "cost": "images trained on, x the baseline's",
    "images": "trained on, in all stages and networks",
    "external": "what the method uses besides the training pictures and their texts",
}
NAMED = 4  # other data sets
WEIGHTS = {"last": "last epoch", "best": "best epoch", "averaged": "averaged weights"}
WIDE = 8  # letters of a tie, from which on they say little
MARKS = {"better": " ▲", "worse": " ▼", "": ""}
_UNITS = ((1e9, "G"), (1e6, "M"), (1e3, "k"))


def headline_table(board: HeadlineBoard, epoch: EpochChoice | None = None) -> BoardTable:
    """Return the table of a board; ``epoch`` is what was asked for, None for each method's own."""
    rows = board.rows
    several = len({row.epoch for row in rows}) > 1
    counts = {len(row.seeds) for row in rows}
    columns: dict[str, list[str]] = {
        "rank": [_rank(row) for row in rows],
        "tie": [row.group for row in rows],
        "method": [marked(row.method, row.submitted) for row in rows],
        "top-1 %": [_percent(row) for row in rows],
        "vs baseline": ["-" if r.is_baseline else _difference(r) for r in rows],
        "top-5": [f"{row.top5_percent:.1f}" for row in rows],
        "AUC": ["" if row.noise_auc is None else f"{row.noise_auc:.2f}" for row in rows],
        "seeds": [str(len(row.seeds)) if len(counts) > 1 else "" for row in rows],
        "epoch": [row.epoch if several else "" for row in rows],
        "cost": ["" if r.images_share is None else f"x{r.images_share:.2g}" for r in rows],
        "time": [short_time(row.seconds) for row in rows],
        "images": ["" if row.images is None else short_count(row.images) for row in rows],
        "external": [", ".join(_short(part) for part in row.external) for row in rows],
        "verified": [row.verified if _some_unverified(rows) else "" for row in rows],
    }
    if len(rows) == 1 or not board.told_apart:
        columns["tie"] = [""] * len(rows)
    views = sorted({row.protocol for row in rows})
    title = [board.data.asked, board.split, *(views if len(views) == 1 else ["own views"])]
    if not several:
        title.append(WEIGHTS[rows[0].epoch])
    if len(counts) == 1:
        title.append("1 seed" if counts == {1} else f"{min(counts)} seeds")
    kept = {n: cells for n, cells in columns.items() if any(cells) or n in ("rank", "method")}
    return BoardTable(
        title=" · ".join(title),
        frame=pd.DataFrame(kept, dtype=object),
        notes=tuple(_notes(board, epoch)),
        left=frozenset({"rank", "tie", "method", "epoch", "external", "verified"}),
        spare=tuple(_spare(rows)),
        legend={**LEGEND, "top-1 %": _interval(rows), "vs baseline": _marks(board)},
    )


def _spare(rows: Sequence[HeadlineRow]) -> Iterator[str]:
    """Yield what plain text leaves out, the first first; never what tells two rows apart."""
    if max(len(row.group) for row in rows) > WIDE:
        yield "tie"
    is_told_by_epoch = len({row.method for row in rows}) < len(rows)
    yield from (name for name in SPARE if not (name == "epoch" and is_told_by_epoch))


def headline_list(boards: Sequence[HeadlineBoard]) -> pd.DataFrame:
    """Return the rows of boards as one list for scripts: numbers unrounded, None if not known.

    The columns are the fields of ``HeadlineRow`` with its data set; intervals are two columns.
    """
    lines = [line for board in boards for line in _lines(board)]
    names = list(lines[0]) if lines else []
    return pd.DataFrame(
        {name: pd.Series([line[name] for line in lines], dtype=object) for name in names}
    )


def _lines(board: HeadlineBoard) -> Iterator[dict[str, object]]:
    names = [row.method for row in board.rows]
    for row in board.rows:
        yield {
            "data": board.data.asked,
            "edition": board.data.edition,
            "split": board.split,
            "protocol": row.protocol,
            "epoch": row.epoch,
            "rank_best": row.rank[0],
            "rank_worst": row.rank[1],
            "tie": row.group,
            "method": row.method,
            "plugin": row.plugin,
            "top1_percent": row.top1_percent,
            **_bounds("top1", row.top1),
            "baseline": row.baseline,
            "over_baseline": row.over_baseline.estimate if row.over_baseline else None,
            **_bounds("over_baseline", row.over_baseline),
            "outcome": row.outcome,
            "top5_percent": row.top5_percent,
            "noise_auc": row.noise_auc,
            "n_seeds": len(row.seeds),
            "seeds": list(row.seeds),
            "device_seconds": row.seconds,
            "images": row.images,
            "images_over_baseline": row.images_share,
            "size": row.size,
            "verified": row.verified,
            "external": list(row.external),
            "submitted": list(row.submitted),
            "told_apart_from": [names[place] for place in row.told_apart_from],
            "records": list(row.records),
        }


def _bounds(name: str, span: Span | None) -> dict[str, float | None]:
    return {
        f"{name}_low": span.low if span else None,
        f"{name}_high": span.high if span else None,
    }


def _short(part: str) -> str:
    return part.removeprefix("encoder ").removesuffix(" pictures")


def _interval(rows: Sequence[HeadlineRow]) -> str:
    """Return what ± means in these rows."""
    spans = [span for row in rows for span in (row.top1, row.over_baseline) if span]
    one = "" if all(span.covers_seeds for span in spans) else " (* one seed: over pictures only)"
    return f"±: the 95 % interval over seeds and test pictures{one}, also of the difference"


def _rank(row: HeadlineRow) -> str:
    best, worst = row.rank
    return str(best) if best == worst else f"{best}-{worst}"


def _percent(row: HeadlineRow) -> str:
    return f"{row.top1_percent:.1f}{_half(row.top1)}"


def _difference(row: HeadlineRow) -> str:
    span = row.over_baseline
    return f"{span.estimate:+.1f}{_half(span)}{MARKS[row.outcome]}" if span else ""


def _marks(board: HeadlineBoard) -> str:
    """Return what the marks of differences mean; "" if there are none."""
    words = outcomes_in_words(board)
    return f"▲ ▼ {words}" if any(row.outcome for row in board.rows) else words


def _half(span: Span | None) -> str:
    if span is None:
        return ""
    return f" ±{(span.high - span.low) / 2:.1f}{'' if span.covers_seeds else '*'}"


def short_count(value: float) -> str:
    """Return a count in three digits: "960", "1.44M"."""
    for size, unit in _UNITS:
        if value >= size:
            return f"{value / size:.3g}{unit}"
    return f"{value:.0f}"


def _some_unverified(rows: Sequence[HeadlineRow]) -> bool:
    return any(row.verified == "no" for row in rows)


def _notes(board: HeadlineBoard, epoch: EpochChoice | None) -> Iterator[str]:
    yield told_apart_in_words(board)
    if not board.baseline:
        yield f"No baseline: harness run --plugin baseline --data {board.data.asked}"
    yield from _on_epochs(board, epoch)
    yield from _on_runs(board)
    if board.others:
        names = [other.asked for other in board.others]
        more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
        yield f"Other data with runs (--data): {', '.join(names[:NAMED])}{more}."


def _on_epochs(board: HeadlineBoard, epoch: EpochChoice | None) -> Iterator[str]:
    if epoch is None and any(row.epoch == "averaged" for row in board.rows):
        yield (
            "Weights of the last epoch; of methods that keep an average, that average (fixed by "
            "the method, not chosen by a score)."
        )
    if any(row.epoch == "best" for row in board.rows):
        chosen, high = "val", ""
        if board.split == "val":
            chosen, high = "this split", ": its numbers are too high"
        yield f"The best epoch was chosen on {chosen}{high}."


def _on_runs(board: HeadlineBoard) -> Iterator[str]:
    rows = board.rows
    if len({row.protocol for row in rows}) > 1:
        yield "Views: " + "; ".join(_views(rows)) + "."
    verified = {row.verified for row in rows}
    if verified == {"yes"}:
        yield "Verified: the stored predictions of every run give these figures."
    elif "no" in verified:
        yield "Verified: the stored predictions give these figures; no: some are missing."
    yield from on_submitted(rows)
    sizes = {row.size for row in rows}
    if "shrunk" in sizes:
        which = "All runs are" if sizes == {"shrunk"} else "Some runs are"
        yield (
            f"{which} shrunk by a profile or --stage: their differences may be compared with "
            "published ones, their numbers never."
        )


def _views(rows: Sequence[HeadlineRow]) -> Iterator[str]:
    """Yield the views of each method, of most of them last."""
    views = [row.protocol for row in rows]
    common = max(dict.fromkeys(views), key=views.count)
    for protocol in dict.fromkeys(views):
        if protocol != common:
            yield f"{protocol}: {', '.join(r.method for r in rows if r.protocol == protocol)}"
    yield f"all others: {common}"
