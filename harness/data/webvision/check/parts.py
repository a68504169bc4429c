"""What every part of one check needs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from harness.data.webvision.check.archives import Archives
from harness.data.webvision.check.images import Images
from harness.data.webvision.check.lists import Disagreements
from harness.data.webvision.check.report import Findings
from harness.data.webvision.lists.editions import Edition

Progress = Callable[[str, int, int], None]


class Pass(NamedTuple):
    """One check; pictures lie in ``root``, the lists in ``place``, which may be the index.

    Digests of all pictures go below ``home``, if there is one.
    """

    root: Path
    place: Path
    edition: Edition
    images: Images
    progress: Progress
    findings: Findings
    torn: Disagreements
    archives: Archives | None
    home: Path | None
