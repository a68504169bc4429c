"""The data sets ``webvision1``, ``webvision2`` and ``mini-webvision``: one reader for all three."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from harness.data.webvision.lists.editions import MINI_WEBVISION, WEBVISION1, WEBVISION2, Edition
from harness.hookspecs import hookimpl

if TYPE_CHECKING:
    from harness.data.webvision.reader import as_split, missing_files, read_split
    from harness.samples import Samples
    from harness.spec import RunSpec

__all__ = [
    "MiniWebVision",
    "WebVision1",
    "WebVision2",
    "as_split",
    "missing_files",
    "read_split",
]


@dataclass(frozen=True, kw_only=True)
class WebVision1:
    """WebVision 1.0: ``--data webvision1:/data/webvision?classes=0-49&source=google``."""

    @hookimpl
    def load_samples(self, spec: RunSpec, split: str) -> Samples:
        """Read ``split``, "train", "val", "test" or "ilsvrc", and check that it is complete."""
        return _load(spec, split, WEBVISION1)


@dataclass(frozen=True, kw_only=True)
class WebVision2:
    """WebVision 2.0, downloaded or after preprocess.py: ``--data webvision2:/data/webvision``."""

    @hookimpl
    def load_samples(self, spec: RunSpec, split: str) -> Samples:
        """Read ``split``, "train", "val", "test" or "ilsvrc", and check that it is complete."""
        return _load(spec, split, WEBVISION2)


@dataclass(frozen=True, kw_only=True)
class MiniWebVision:
    """The first 50 classes of 1.0, Google only: ``--data mini-webvision:/data/webvision``."""

    @hookimpl
    def load_samples(self, spec: RunSpec, split: str) -> Samples:
        """Read ``split``, "train", "val", "test" or "ilsvrc", and check that it is complete."""
        return _load(spec, split, MINI_WEBVISION)


def _load(spec: RunSpec, split: str, edition: Edition) -> Samples:
    # Imported here: it imports the index package, which imports modules of this package.
    from harness.data.webvision.load import load

    return load(spec, split, edition)


def __getattr__(name: str) -> Any:
    # ``harness data --help`` reads the editions' names and needs no numpy.
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from harness.data.webvision import reader

    return getattr(reader, name)
