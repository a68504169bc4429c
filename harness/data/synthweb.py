"""synthweb: a small web crawl that we draw ourselves, in WebVision 1.0's layout.

MEASURED
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from harness.data.synthweb_plan import Preset, plan_crawl
from harness.data.synthweb_write import WORTH_A_PROCESS, Progress, is_whole, write_crawl
from harness.data.synthweb_profiles import PROFILES
from harness.errors import DataError, unknown
from harness.hookspecs import hookimpl
from harness.values import Stage, Trick

if TYPE_CHECKING:
    from harness.samples import Samples
    from harness.spec import RunSpec

VERSION = 1  # of the pictures and lists: raised whenever a byte of them changes

PRESETS: dict[str, Preset] = {
    "tiny": Preset(groups=2, per_group=3, train=300, val=60, test=60),
    "small": Preset(groups=4, per_group=5, train=2_500, val=1_000, test=1_000),
    "large": Preset(groups=20, per_group=5, train=50_000, val=5_000, test=5_000),
}
DEFAULT_PRESET = "small"


def generate(
    root: Path,
    preset: str,
    seed: int,
    *,
    processes: int | None = None,
    progress: Progress | None = None,
) -> Path:
    """Draw a data set into the new folder ``root``, or find it there, and return ``root``.

    The bytes depend on ``VERSION``, ``preset`` and ``seed`` only. ``progress`` is called with
    (pictures drawn, pictures in all). A second process that asks for the same folder waits for the
    first.

    Raises:
        DataError: Unknown preset; ``root`` holds something else; it cannot be written.
    """
    if preset not in PRESETS:
        raise DataError(unknown("synthweb preset", preset, PRESETS))
    about = {"data": "synthweb", "version": VERSION, "preset": preset, "seed": seed}
    if not is_whole(root, about):
        crawl = plan_crawl(PRESETS[preset], seed)
        if processes is None:
            processes = _processes(PRESETS[preset].images)
        write_crawl(root, crawl, about, seed=seed, processes=processes, progress=progress)
    return root


def _processes(images: int) -> int:
    """One process for every thousand pictures, as far as there are cores."""
    if hasattr(os, "sched_getaffinity"):
        cores = len(os.sched_getaffinity(0))
    else:
        cores = os.cpu_count() or 1
    return max(1, min(cores, images // WORTH_A_PROCESS))


@dataclass(frozen=True, kw_only=True)
class SynthWeb:
    """The embedded data: ``--data synthweb``, ``synthweb:tiny``, ``synthweb:large?seed=1``."""

    @hookimpl
    def load_samples(self, spec: RunSpec, split: str) -> Samples:
        """Draw the data set on first use and read ``split``: "train", "val" or "test"."""
        from harness.data.webvision import as_split, read_split

        preset = (spec.data and spec.data.path) or DEFAULT_PRESET
        if preset not in PRESETS:
            raise DataError(unknown("synthweb preset", preset, PRESETS))
        seed = _seed(spec.data.options if spec.data else {})
        root = spec.home / "data" / f"synthweb-v{VERSION}-{preset}-{seed}"
        generate(root, preset, seed, progress=_ProgressLine(preset))
        edition = f"synthweb-{preset} v{VERSION}"
        return read_split(root, as_split(split), edition=edition)

    @hookimpl
    def stage_tricks(self, spec: RunSpec) -> Sequence[Trick[Stage]]:
        """Shrink every stage to the preset's profile."""
        return [PROFILES[spec.data.path or DEFAULT_PRESET]]


def _seed(options: Mapping[str, str]) -> int:
    """The one option of ``--data synthweb:PRESET?seed=N``."""
    for name in options:
        if name != "seed":
            raise DataError(unknown("option of --data synthweb", name, ["seed"]))
    text = options.get("seed", "0")
    if not (text.isascii() and text.isdigit() and len(text) < 10):
        raise DataError(f"--data synthweb: seed={text!r} is not a whole number from 0; try seed=1")
    return int(text)


class _ProgressLine:
    """Says on standard error how far the drawing is: at once, every half second, at the end."""

    def __init__(self, preset: str) -> None:
        self.preset = preset
        self.told = -1.0

    def __call__(self, drawn: int, images: int) -> None:
        now = time.monotonic()
        if 0 < drawn < images and now < self.told + 0.5:
            return
        self.told = now
        live = sys.stderr.isatty()
        line = f"drawing synthweb {self.preset}: {drawn}/{images} images"
        end = "\r" if live and drawn < images else "\n"
        sys.stderr.write(line + end)
        sys.stderr.flush()
