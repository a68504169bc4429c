"""Commands that installed packages add, and knobs of plugins that a run adds."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

Call = Callable[..., Any]

COMMANDS = """
import click


@click.command()
@click.argument("name")
def hello(name: str) -> None:
    \"\"\"Greet.\"\"\"
    click.echo(f"hello {name}")


not_a_command = 3
"""
ENTRIES = """
[harness.commands]
hello = greeting:hello
number = greeting:not_a_command
gone = nowhere:command
run = greeting:hello
"""


@pytest.fixture
def greeting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    about = tmp_path / "greeting-1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: greeting\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text(ENTRIES)
    (tmp_path / "greeting.py").write_text(COMMANDS)
    monkeypatch.syspath_prepend(tmp_path)
    from harness.cli import cli

    vars(cli).pop("_added", None)  # found once in a process
    yield
    vars(cli).pop("_added", None)


def test_a_package_adds_a_command(greeting: None, call: Call) -> None:
    ended = call("hello", "you")
    assert (ended.status, ended.out) == (0, "hello you\n")
    helped = call("--help")
    assert "hello" in helped.out
    assert "Greet." in helped.out
    assert "Train, test and record one method." in helped.out  # ours is not replaced


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("number", "command 'number' of greeting is not a click command but 3"),
        ("gone", "command 'gone' of greeting cannot be imported: ModuleNotFoundError"),
    ],
)
def test_a_broken_command_is_one_line(name: str, words: str, greeting: None, call: Call) -> None:
    ended = call(name)
    assert ended.status == 2
    assert words in ended.err
    assert len(ended.err.strip().splitlines()) == 1
    assert call("--help").status == 0


def test_knobs_of_an_added_plugin_are_set_by_its_name(call: Call) -> None:
    asked = ("plan", "--plugin", "baseline", "--data", "synthweb:tiny")
    asked = (*asked, "--with", "malong_curriculum")
    ended = call(*asked, "--set", "malong_curriculum.stem=multi_scale")
    assert ended.status == 0, ended.err
    assert "baseline malong_curriculum.stem=multi_scale +malong_curriculum" in ended.out
    for wrong, words in (
        ("malong.stem=plain", "unknown plugin of this run 'malong'; did you mean 'malong_curric"),
        ("malong_curriculum.alpha=1", "unknown knob of malong_curriculum 'alpha'"),
        ("malong_curriculum.lr=x", "is not a float"),
    ):
        ended = call(*asked, "--set", wrong)
        assert ended.status == 2
        assert words in ended.err
