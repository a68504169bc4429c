"""The headline board as values: what computes it and what shows it share these."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple

from harness.scores import Epoch
from harness.statistics.verdicts import ENOUGH_SEEDS
from harness.store.data_names import DataSet
from harness_leaderboard.separation import LEVEL, Outcome


class Span(NamedTuple):
    """An estimate with its 95 % interval, in percent or points.

    With one seed, ``covers_seeds`` is false: the interval covers image sampling only.
    """

    estimate: float
    low: float
    high: float
    covers_seeds: bool


@dataclass(frozen=True, kw_only=True)
class HeadlineRow:
    """One method with all its seeds: accuracies in percent, differences in points.

    ``top1`` is None if predictions are missing, ``over_baseline`` also of a baseline itself and of
    a row that has none of its budget, or shares no seed with it; ``outcome`` says whether tests
    find it better or worse than that baseline. ``images`` counts the pictures that the networks of
    all stages were trained on, every crop and every network, mean over the seeds;
    ``images_share`` is its ratio to the baseline's. ``seconds`` is device time of the training.
    ``noise_auc`` is that of the last stage that weighs or leaves out pictures (0.5 is chance).
    ``external`` names what the method took from outside the data set's training split: "weights",
    "clean pictures", "encoder NAME" (of texts). ``submitted`` are the files that runs came from
    which others made, each once; ``told_apart_from`` are places in the board's ``rows``.
    """

    rank: tuple[int, int]
    group: str
    method: str
    plugin: str
    protocol: str
    epoch: Epoch
    top1_percent: float
    top1: Span | None
    over_baseline: Span | None
    outcome: Outcome
    is_baseline: bool
    baseline: str
    top5_percent: float
    noise_auc: float | None
    seeds: tuple[int, ...]
    seconds: float
    images: float | None
    images_share: float | None
    size: Literal["full", "shrunk"]
    verified: Literal["", "yes", "no"]
    external: tuple[str, ...]
    records: tuple[str, ...]
    told_apart_from: tuple[int, ...]
    submitted: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class HeadlineBoard:
    """One board: what all rows share, the rows, what was tested, and what a reader must know.

    ``baseline`` is the name of the row that most differences are taken from, or empty. ``tested``
    counts the pairs of rows with enough shared seeds, ``told_apart`` those that are told apart,
    ``against`` the rows that were tested against their baseline.
    ``others`` are the other data sets that have runs, that of the newest run first. ``notes`` are
    sentences on single rows: seeds that ran twice, other code, missing predictions.
    """

    data: DataSet
    split: str
    images: int
    rows: tuple[HeadlineRow, ...]
    baseline: str
    tested: int
    told_apart: int
    against: int
    others: tuple[DataSet, ...]
    notes: tuple[str, ...]


def told_apart_in_words(board: HeadlineBoard) -> str:
    """Return what the ranks and groups of a board say, in sentences."""
    pairs = len(board.rows) * (len(board.rows) - 1) // 2
    if not pairs:
        return "One row: nothing to compare. Run another method on the same data."
    if not board.tested:
        return (
            f"No two rows share {ENOUGH_SEEDS} seeds, so none can be told apart: run each method "
            f"with --seed 0 to {ENOUGH_SEEDS - 1}."
        )
    fewer = pairs - board.tested
    letters = "; rows that share a letter (tie) cannot be told apart" if board.told_apart else ""
    rest = f" ({fewer} more share fewer than {ENOUGH_SEEDS} seeds: not tested)" if fewer else ""
    return (
        f"{board.told_apart} of {_count(board.tested, 'pair')} told apart{rest}: paired "
        f"differences in top-1 on the same seeds and {board.images:,} images, p below {LEVEL} "
        f"after Holm's correction for {board.tested}. A rank is the best to the worst that these "
        f"tests leave{letters}."
    )


def outcomes_in_words(board: HeadlineBoard) -> str:
    """Return when a row is better or worse than its baseline, in a sentence; "" without tests."""
    if not board.against:
        return ""
    return (
        f"better or worse than the baseline: p below {LEVEL} after Holm's correction for "
        f"{_count(board.against, 'comparison')} with it"
    )


def _count(number: int, word: str) -> str:
    return f"{number} {word}" if number == 1 else f"{number} {word}s"
