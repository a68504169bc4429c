"""The rows of the board as values: measured, published, and noise quality."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, kw_only=True)
class BoardRow:
    """One method under one edition, split and protocol.

    Accuracies are in percent, ``_sd`` are sample standard deviations (divided by n - 1) in
    points, None if they were not measured or n is 1. ``reference`` names where the published row
    that a measured one of full size reproduces was tested ("WebVision 1.0 val, 10 views"), on the
    same edition and split; ``reference_top1_percent`` and ``reference_top5_percent`` are its
    accuracies. ``printed_`` values are as the publication prints them, in the unit
    ``printed_as``; ``runs`` is the top-5 of each of several entries. ``verified`` is "yes" if the
    predictions of all seeds were scored again and gave these figures, "no" if some are missing.
    ``submitted`` are the files that runs of others came from, each once.

    Published rows of different ``regime`` may not share a table. ``read`` is "confirmed" if the
    number was read where it was first published, "copied" if in another publication.
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
    seeds: tuple[int, ...] = ()
    device_seconds: float | None = None
    size: Literal["", "full", "shrunk"] = ""
    plugin: str = ""
    knobs: str = ""
    fingerprint: str = ""
    verified: Literal["", "yes", "no"] = ""
    submitted: tuple[str, ...] = ()
    reference: str = ""
    reference_top1_percent: float | None = None
    reference_top5_percent: float | None = None
    table: str = ""
    regime: str = ""
    backbone: str = ""
    read: Literal["", "confirmed", "copied"] = ""
    runs: tuple[float, ...] = ()
    printed_top1: str = ""
    printed_top5: str = ""
    printed_as: str = ""
    source: str = ""

    @property
    def terms(self) -> tuple[str, ...]:
        """What the rows of one table share."""
        return self.edition, self.split, self.protocol, self.regime, self.kind


@dataclass(frozen=True, kw_only=True)
class NoiseRow:
    """How well one stage separated clean labels from wrong ones: shares, means over the seeds.

    The shares are those of ``harness.store.record.NoiseQuality``; None if no seed has the value.
    ``submitted`` are the files that runs of others came from, each once.
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
    submitted: tuple[str, ...] = ()
