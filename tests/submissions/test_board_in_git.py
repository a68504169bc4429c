"""The recipe of docs/submissions.md: a request that adds a run passes, a dishonest one fails."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

PAGE = Path(__file__).parents[2] / "docs" / "submissions.md"


def git(folder: Path, *words: str) -> None:
    command = ["git", "-C", str(folder), "-c", "user.name=a", "-c", "user.email=a@b", *words]
    subprocess.run(command, check=True, capture_output=True)


@pytest.fixture
def board(finished: Path, tmp_path: Path) -> Path:
    """A board in git with the run of seed 0, as ``origin/main``, and a branch to work on."""
    board = tmp_path / "board"
    board.mkdir()
    ignore = re.search(r"^```\n(/\*\n.*?)^```$", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    assert ignore
    (board / ".gitignore").write_text(ignore[1])
    copy(finished, board, seed=0)
    git(board, "init", "-q", "-b", "main")
    commit(board)
    git(board, "update-ref", "refs/remotes/origin/main", "HEAD")
    git(board, "checkout", "-q", "-b", "mine")
    return board


def copy(finished: Path, board: Path, seed: int) -> None:
    for path in (finished / "records").glob(f"*seed{seed}*"):
        target = board / "records" / path.name
        target.parent.mkdir(exist_ok=True)
        shutil.copytree(path, target) if path.is_dir() else shutil.copy(path, target)


def commit(board: Path) -> None:
    git(board, "add", "-A")
    git(board, "commit", "-q", "-m", "x")


def failed(board: Path, tmp_path: Path) -> str:
    """Run the steps of the recipe; return the name of the one that fails, or nothing."""
    (recipe,) = re.findall(r"^```yaml\n(.*?)^```$", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    shelf = tmp_path / "bin"
    shelf.mkdir(exist_ok=True)
    (shelf / "harness").write_text(f'#!/bin/sh\nexec {sys.executable} -m harness "$@"\n')
    (shelf / "harness").chmod(0o755)
    environment = os.environ | {
        "PATH": f"{shelf}{os.pathsep}{os.environ['PATH']}",
        "GITHUB_BASE_REF": "main",
        "RUNNER_TEMP": str(tmp_path),
    }
    for step in yaml.safe_load(recipe)["jobs"]["verify"]["steps"]:
        text = step.get("run", "").replace("synthweb:small", "synthweb:tiny")
        if text and step["name"] != "install":
            command = ["bash", "-e", "-c", text]
            done = subprocess.run(
                command, cwd=board, env=environment, capture_output=True, check=False
            )
            if done.returncode:
                return str(step["name"])
    return ""


@pytest.mark.slow
def test_the_recipe_lets_honest_requests_pass_and_no_others(
    board: Path, finished: Path, tmp_path: Path, call: Callable[..., Any], packed: Path
) -> None:
    copy(finished, board, seed=1)
    commit(board)
    assert failed(board, tmp_path) == ""

    copy_of_one = next((board / "records").glob("*seed1*.json"))
    copy_of_one.write_text(copy_of_one.read_text().replace('"images": 60', '"images": 61'))
    commit(board)
    assert failed(board, tmp_path) == "verify"

    git(board, "reset", "-q", "--hard", "origin/main")
    (board / ".github").mkdir()
    (board / ".github" / "evil.yml").write_text("on: push")
    commit(board)
    assert failed(board, tmp_path) == "only records are added"

    git(board, "reset", "-q", "--hard", "origin/main")
    next((board / "records").glob("*/val-1-view-last.npz")).unlink()
    commit(board)
    assert failed(board, tmp_path) == "existing files are unchanged"


def test_only_records_of_a_board_go_into_git(
    board: Path, packed: Path, call: Callable[..., Any]
) -> None:
    for path in (board / "records").glob("*seed0*"):
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    assert call("--home", str(board), "leaderboard", "--add", str(packed)).status == 0
    assert call("--home", str(board), "leaderboard").status == 0
    command = ["git", "-C", str(board), "status", "--porcelain", "-uall"]
    changed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert "origin.json" in changed
    assert [line for line in changed.splitlines() if "records/baseline-seed0-" not in line] == []
