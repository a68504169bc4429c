"""A full disk under what a command is told to write: one line and status 2, whatever the command.

The commands are found in click's tree, so a new one with such an option needs its line here.
"""

from __future__ import annotations

import errno
import resource
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click
import pytest

from harness.cli import cli
from harness.store import lock

Call = Callable[..., Any]
TINY = ("--data", "synthweb:tiny")
SHORT = ("--stage", "epochs=1", "--engine", "torch", "--set", "crops=1")
# What each command needs before the path that it writes; DATA and PACKED are data sets.
WRITERS = {
    "ablate --output": ("ablate", "--plugin", "baseline", *TINY, *SHORT, "--seed", "5", "--output"),
    "compare --output": ("compare", "baseline-seed0", "baseline-seed1", "--output"),
    "data index --output": ("data", "index", "PACKED", "--output"),
    "data pack output": ("data", "pack", "DATA"),
    "data stats --output": ("data", "stats", "DATA", "--output"),
    "export --output": ("export", "baseline-seed0", "--output"),
    "predict --output": ("predict", "baseline-seed0", "--output"),
    "leaderboard --output": ("leaderboard", "--format", "csv", "--output"),
    "reproduce --report": ("reproduce", "malong/table1", "--no-run", *TINY, "--report"),
}
ENDS = {"compare --output": ".svg", "data stats --output": ".svg", "ablate --output": ".html"}
READERS = {
    *("--home", "run --deepspeed", "plan --deepspeed", "estimate --deepspeed"),
    *("ablate --deepspeed", "data check path", "data index path", "data pack path"),
    *("data stats path", "--plugins-dir", "leaderboard --add", "score file"),
}
FOLDERS = {"leaderboard --site", "plugins new --folder"}
"""What is written there is many files: the tests of these commands stop them on the way."""


def paths_of(command: click.Command, words: str = "") -> Iterator[str]:
    """Yield every option and argument of a path, behind its command."""
    for parameter in command.params:
        again = words and "--home" in parameter.opts  # the same as before the command
        if isinstance(parameter.type, click.Path) and not again:
            yield f"{words} {parameter.opts[-1]}".strip()
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            inner = command.get_command(context, name)
            assert inner is not None
            yield from paths_of(inner, f"{words} {name}".strip())


@contextmanager
def no_room() -> Iterator[None]:
    """Let no file of this process grow beyond a few bytes: what is read still can be."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (16, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_every_path_is_known_as_read_or_written() -> None:
    assert set(paths_of(cli)) == READERS | FOLDERS | set(WRITERS)


@pytest.mark.slow
def test_a_full_disk_under_an_output_is_one_line_for_every_command(
    call: Call, tiny_home: Path, drawn_tiny: Path, tmp_path: Path
) -> None:
    pytest.importorskip("matplotlib")
    for seed in ("0", "1"):
        run = ("run", "--plugin", "baseline", *TINY, *SHORT, "--seed", seed)
        assert call(*run).status == 0
    packed = tmp_path / "packed"
    assert call("data", "pack", str(drawn_tiny), str(packed)).status == 0
    names = {"DATA": str(drawn_tiny), "PACKED": str(packed)}
    found = {}
    for number, (words, arguments) in enumerate(WRITERS.items()):
        command = [names.get(argument, argument) for argument in arguments]
        folder = tmp_path / f"written{number}"
        folder.mkdir()
        end = ENDS.get(words, "")
        # Caches under HOME, and matplotlib's, are written first: only the output finds no room.
        done = call(*command, str(tmp_path / f"before{number}{end}"))
        assert done.status == 0, done
        output = folder / f"out{end}"
        with no_room():
            done = call(*command, str(output))
        found[words] = done.status, done.err.splitlines()[-1:], "Traceback" in done.err
        assert {path.name for path in folder.rglob("*") if path.is_file()} <= {".lock"}, words
    for words, (status, last, traceback) in found.items():
        assert (status, traceback) == (2, False), found
        assert last[0].startswith(f"Error: cannot write {tmp_path}/written"), (words, last)


def test_a_disk_that_fills_up_anywhere_is_one_line(
    call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As where a folder is made for what is damaged: not every write knows what it is for."""
    folder = str(tmp_path / "damaged")

    def run(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", folder)

    monkeypatch.setattr("harness.runner.run", run)
    done = call("run", "--plugin", "baseline", *TINY, "--gpus", "0")
    assert done.error.startswith(f"cannot write {folder}: the disk is full; free some room")


@pytest.mark.parametrize(
    "arguments",
    [("leaderboard", "--output"), ("data", "stats", "DATA", "--output")],
)
def test_a_device_without_room_is_one_line(
    call: Call, drawn_tiny: Path, tmp_path: Path, arguments: tuple[str, ...]
) -> None:
    pytest.importorskip("matplotlib")
    full = tmp_path / "full.svg"
    full.symlink_to("/dev/full")
    command = [str(drawn_tiny) if argument == "DATA" else argument for argument in arguments]
    assert f"cannot write {full}: the disk is full" in call(*command, str(full)).error
    assert full.is_symlink()


def test_a_file_that_another_command_removed_is_one_line_if_nothing_could_be_locked(
    call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lock, "_said", True)
    monkeypatch.setattr("harness.runner.run", lambda *_: (tmp_path / "best.pt").rename(tmp_path))
    done = call("run", "--plugin", "baseline", *TINY, "--gpus", "0")
    assert done.error.startswith(f"{tmp_path / 'best.pt'} was removed while it was needed")
    assert done.error.endswith("start the same command again when the other has ended")
