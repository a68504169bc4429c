"""What stands around a run decides nothing: the working folder, what a shell left behind."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from harness.assembly.discovery import broken_plugins, find_plugins
from harness.machine.interpreter import python

Call = Callable[..., Any]
TINY = ("run", "--plugin", "baseline", "--engine", "torch", "--data", "synthweb:tiny")
ONE = ("--stage", "epochs=1")
MODULES = ("harness", "plugins", "leaderboard", "reproductions", "torch", "numpy", "click", "json")


@pytest.fixture
def trap(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder in which every module that could be taken for a library ends Python."""
    folder = tmp_path / "here"
    folder.mkdir()
    for name in MODULES:
        (folder / f"{name}.py").write_text("import os; os._exit(0)\n")
    monkeypatch.chdir(folder)
    return folder


def harness(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [str(Path(sys.executable).with_name("harness")), *arguments]
    return subprocess.run(
        command, env=os.environ | environment, capture_output=True, text=True, check=False
    )


@pytest.mark.slow
def test_two_ranks_import_nothing_from_the_working_folder(tiny_home: Path, trap: Path) -> None:
    done = harness(*TINY, *ONE, "--cpu-ranks", "2")
    assert done.returncode == 0, done.stderr
    assert len(list((tiny_home / "records").glob("*.json"))) == 1


@pytest.mark.slow
def test_no_python_of_ours_imports_from_the_working_folder(harness_home: Path, trap: Path) -> None:
    code = "import json, sys, torch, harness.cli; print(json.dumps([sys.argv[1:], sys.path]))"
    done = subprocess.run(python(code, "a b"), capture_output=True, text=True, check=True)
    arguments, path = json.loads(done.stdout)
    assert arguments == ["a b"]
    assert not {"", str(trap)} & set(path)
    assert broken_plugins(find_plugins().values(), harness_home) == {}


@pytest.mark.slow
def test_the_drawing_processes_import_nothing_from_the_working_folder(
    tmp_path: Path, trap: Path
) -> None:
    from harness.data.synthweb import draw
    from harness.data.synthweb.scenes import Picture

    part = tmp_path / "part"
    part.mkdir()
    chunks = [[(f"{n}.jpg", Picture((0, 0), "google", (n,)))] for n in range(2)]
    assert sorted(draw._draw_in_others(part, chunks, 2)) == [0, 1]


def test_what_the_user_put_on_pythonpath_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "mine.py").write_text("NAME = 'mine'\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    done = subprocess.run(
        python("import mine; print(mine.NAME)"), capture_output=True, text=True, check=True
    )
    assert done.stdout == "mine\n"


ENDS = """
    import os, sys
    from dataclasses import dataclass
    from harness.hookspecs import hookimpl

    class Plugin:
        @hookimpl
        def on_stage_start(self):
            {end}
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("end", "ranks", "told"),
    [
        ("sys.exit(0)", (), "something called sys.exit(0)"),
        (
            "os._exit(0)",
            ("--cpu-ranks", "2"),
            "ended with status 0, but did not finish: nothing was recorded",
        ),
    ],
)
def test_no_run_ends_well_without_a_record(
    tiny_home: Path,
    install: Callable[..., Path],
    harness_fork: Callable[..., Any],
    end: str,
    ranks: tuple[str, ...],
    told: str,
) -> None:
    install("quitter", ENDS.format(end=end))
    done = harness_fork(*TINY, *ONE, *ranks, "--with", "quitter")
    assert done.status == 2, done
    assert told in done.err.splitlines()[-1]
    assert "Traceback" not in done.err
    assert not (tiny_home / "records").exists()


def test_left_over_variables_are_refused_at_once(
    call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RANK", "0")
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.delenv("MASTER_ADDR", raising=False)
    assert "unset RANK WORLD_SIZE" in call(*TINY).error


@pytest.mark.parametrize(
    "arguments",
    [("--local_rank=0", *TINY), (*TINY, "--local-rank", "0")],
    ids=["in front", "behind"],
)
def test_what_launchers_add_is_taken(
    call: Call, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...]
) -> None:
    for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK"):
        monkeypatch.setenv(name, "0")  # so that it is taken back after the test
        monkeypatch.delenv(name)
    assert call(*arguments).error.endswith("unset LOCAL_RANK")


def redirected(how: str, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    program = f'exec "$0" "$@" {how}'
    command = ["bash", "-c", program, str(Path(sys.executable).with_name("harness")), *arguments]
    return subprocess.run(
        command, env=os.environ | environment, capture_output=True, text=True, check=False
    )


@pytest.mark.slow
@pytest.mark.parametrize(
    ("how", "told"),
    [
        (">/dev/full", "Error: standard output cannot be written: No space left on device"),
        (">&-", "Error: standard output is closed"),
    ],
)
@pytest.mark.parametrize(
    "arguments", [("leaderboard", "--format", "csv"), ("plugins", "show", "baseline")]
)
def test_an_output_that_cannot_be_written_is_one_line(
    how: str, told: str, arguments: tuple[str, ...]
) -> None:
    done = redirected(how, *arguments)
    assert done.returncode == 2, done
    assert [line.startswith(told) for line in done.stderr.splitlines()] == [True]


@pytest.mark.slow
def test_a_run_works_with_closed_input_and_error_streams() -> None:
    done = redirected("<&- 2>&-", "leaderboard", "--format", "csv")
    assert done.returncode == 0
    assert done.stdout


@pytest.mark.parametrize("kind", ["file", "link"])
def test_a_home_that_is_not_a_folder_is_refused(
    call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    home = tmp_path / "there"
    if kind == "file":
        home.write_text("")
    else:
        home.symlink_to(tmp_path / "nowhere")
    assert "must be a folder" in call("--home", str(home), *TINY).error
    monkeypatch.setenv("HARNESS_HOME", str(home))
    assert "must be a folder" in call(*TINY).error


def test_a_user_without_a_home_is_told_what_to_set(
    call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "set HARNESS_HOME" in call("--home", "~nobody-of-this-name/x", "leaderboard").error
