"""What a record says of the code that made it."""

from __future__ import annotations

import subprocess
from pathlib import Path

from harness.assembly.identity import source_state


def test_a_clone_is_named_by_its_commit() -> None:
    folder = Path(__file__).parent
    head = subprocess.run(
        ["git", "rev-parse", "HEAD"], cwd=folder, capture_output=True, text=True, check=True
    )
    assert source_state()[0] == head.stdout.strip()
