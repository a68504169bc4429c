"""The rows of the board as values: measured, published, and noise quality."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, kw_only=True)
class BoardRow:
    """One method under one edition, split and protocol.

    Accuracies are in percent, ``_sd`` are sample standard deviations (divided by n - 1) in
    points, None if they were not measured or n is 1. ``reference`` names where the published
    row that a measured one reproduces was tested ("WebVision 1.0 val, 10 views"), and
    ``reference_percent`` is that row's "top-1 / top-5". ``printed_`` values are as the publication
    prints them, in the unit ``printed_as``; ``runs`` is the top-5 of each of several entries.
    ``verified`` is "yes" if the predictions of all seeds were scored again and gave these figures,
    "no" if some are missing.
    """

    edition: str
    split: str
    protocol: str
    kind: Literal["measured", "published"]
    method: str
    top1_percent: float | None
    top5_percent: float | None
    top1_sd: float | None = None
    top5_sd: float | None = None
    top1_class_mean_percent: float | None = None
    top5_class_mean_percent: float | None = None
    epoch: str = ""
    n_seeds: int | None = None
    seeds: str = ""
    device_seconds: float | None = None
    size: Literal["", "full", "shrunk"] = ""
    plugin: str = ""
    knobs: str = ""
    fingerprint: str = ""
    verified: Literal["", "yes", "no"] = ""
    reference: str = ""
    reference_percent: str = ""
    table: str = ""
    runs: str = ""
    printed_top1: str = ""
    printed_top5: str = ""
    printed_as: str = ""
    source: str = ""


@dataclass(frozen=True, kw_only=True)
class NoiseRow:
    """How well one stage told clean labels from wrong ones: shares, means over the seeds.

    The shares are those of ``harness.store.record.NoiseQuality``; None if no seed has the value.
    """

    edition: str
    method: str
    stage: str
    n_seeds: int
    auc: float | None
    precision: float | None
    recall: float | None
    kept: float | None
    rare_clean_lost: float | None
    clean: float | None
    fingerprint: str = ""
