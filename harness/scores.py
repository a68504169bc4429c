"""The names of scores: metrics, epochs, splits and protocols."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Literal, TypeAlias

Metric: TypeAlias = Literal["top1", "top5"]
Epoch: TypeAlias = Literal["last", "best", "averaged"]  # best: by top-1 on val

TOP_K: Mapping[Metric, int] = MappingProxyType({"top1": 1, "top5": 5})
METRICS: tuple[Metric, ...] = tuple(TOP_K)
SPLITS = ("test", "val", "ilsvrc")  # comparisons use the first one that their runs share
PLAIN = "1 view"  # the protocol without test-time tricks


def metric_label(metric: Metric) -> str:
    """Return the metric as it is printed: "top-1" or "top-5"."""
    return f"top-{TOP_K[metric]}"
