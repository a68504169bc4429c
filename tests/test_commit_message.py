"""The git hook that checks the subject of each commit."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

HOOKS = Path(__file__).parents[1] / ".githooks"


def commit(folder: Path, message: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Commit in a new repository with the hooks of this one turned on."""
    git = ["git", "-C", str(folder), "-c", f"core.hooksPath={HOOKS}"]
    git += ["-c", "user.name=A", "-c", "user.email=a@example.org"]
    subprocess.run(["git", "init", "--quiet", str(folder)], check=True)
    command = [*git, "commit", "--quiet", "--allow-empty", *arguments, "-F", "-"]
    return subprocess.run(command, input=message, capture_output=True, text=True, check=False)


@pytest.mark.parametrize(
    "message",
    [
        "Read the index once",
        "Read the index once\n\nIt was read for each split: 3.1 s before, 1.0 s after.\n",
        "x" * 72,
        "é" * 72,
        'Revert "' + "x" * 72 + '"',
    ],
    ids=["a subject", "with a body", "72 letters", "72 accents", "a revert"],
)
def test_a_sound_message_is_committed(tmp_path: Path, message: str) -> None:
    done = commit(tmp_path, message)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("message", "words"),
    [
        ("x" * 73, "73 characters; 72 at most"),
        ("é" * 73, "73 characters; 72 at most"),
        ("Read the index once.", "full stop"),
        ("Read the index once\nand not twice", "the second line must be empty"),
    ],
    ids=["73 letters", "73 accents", "a full stop", "no empty line"],
)
def test_an_unsound_message_is_refused(tmp_path: Path, message: str, words: str) -> None:
    done = commit(tmp_path, message, "--cleanup=verbatim")
    assert done.returncode != 0
    assert words in done.stderr


def test_comments_of_the_editor_are_not_read(tmp_path: Path) -> None:
    done = commit(tmp_path, "# " + "x" * 90 + "\nRead the index once\n", "--cleanup=strip")
    assert done.returncode == 0, done.stderr
