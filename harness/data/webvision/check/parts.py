"""The state that all parts of one check share."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from harness.data.webvision.check.archives import Archives
from harness.data.webvision.check.images import Images, Together
from harness.data.webvision.check.lists import Disagreements
from harness.data.webvision.check.report import Findings
from harness.data.webvision.lists.editions import Edition

Progress = Callable[[str, int, int], None]


class Pass(NamedTuple):
    """One check; ``root`` holds the pictures, ``place`` the lists and may be the index.

    Digests of all pictures are saved below ``home`` if it is set. ``ranks`` divide the pictures.
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
    ranks: Together
