"""Hostile names, whoever gave them, reach no terminal raw and forge no line."""

from __future__ import annotations

import ast
import json
import unicodedata
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import harness
from harness.store.record import ResultRecord
from harness.store.record_files import write_record

Call = Callable[..., Any]
HOSTILE = "na\x1b[2Jme\nforged: ok\r\x9b31m\u202eend"
PACKAGE = Path(harness.__file__).parent


def assert_visible(*texts: str) -> None:
    for text in texts:
        hidden = [c for c in text if unicodedata.category(c) in {"Cc", "Cf"} and c != "\n"]
        assert not hidden, text
        assert not [line for line in text.splitlines() if line.startswith("forged")], text


@pytest.mark.parametrize(
    "arguments",
    [
        ("run", "--plugin", HOSTILE),
        ("run", "--plugin", "baseline", "--data", HOSTILE),
        ("run", "--plugin", "baseline", "--data", f"webvision1:/{HOSTILE}"),
        ("run", "--plugin", "baseline", "--set", f"{HOSTILE}=1"),
        ("run", "--plugin", "baseline", "--set", f"lr={HOSTILE}"),
        ("run", "--plugin", "baseline", "--stage", f"{HOSTILE}=1"),
        ("run", "--plugin", "baseline", "--without", HOSTILE),
        ("run", "--plugin", "baseline", "--deepspeed", HOSTILE),
        ("plugins", "show", HOSTILE),
        ("data", "check", f"/{HOSTILE}"),
        ("compare", HOSTILE, HOSTILE),
        (HOSTILE,),
    ],
    ids=lambda arguments: " ".join(arguments)[:40].encode("unicode_escape").decode(),
)
def test_what_the_user_wrote_comes_back_visible(call: Call, arguments: tuple[str, ...]) -> None:
    said = call(*arguments)
    assert said.status in (1, 2)
    assert_visible(said.out, said.err)


@pytest.fixture
def hostile_record(small_record: ResultRecord, harness_home: Path) -> ResultRecord:
    score = small_record.scores[0].model_copy(update={"protocol": HOSTILE})
    changed: dict[str, Any] = {
        "label": HOSTILE,
        "scores": (score,),
        "data": small_record.data.model_copy(update={"edition": HOSTILE}),
        "noise": (small_record.noise[0].model_copy(update={"stage": HOSTILE}),),
        "cost": small_record.cost.model_copy(update={"engine": HOSTILE}),
    }
    record = small_record.model_copy(update=changed)
    write_record(harness_home / "records", record)
    return record


@pytest.mark.parametrize("form", ["table", "markdown", "csv", "json", "html", "latex"])
def test_a_record_s_names_are_visible_on_the_board(
    call: Call, hostile_record: ResultRecord, form: str
) -> None:
    said = call("leaderboard", "--format", form)
    assert said.status == 0
    assert_visible(said.out, said.err)


def test_a_record_s_names_are_visible_in_what_a_run_says(
    hostile_record: ResultRecord, harness_home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from harness.cli.result import print_result

    for as_json in (False, True):
        print_result(hostile_record, harness_home, as_json=as_json)
        assert_visible(*capsys.readouterr())


def test_a_plugin_s_words_are_visible(
    call: Call, install: Callable[..., Path], tried_home: Path
) -> None:
    said = json.dumps(HOSTILE)
    install(
        "hostile",
        f"""
        from dataclasses import dataclass
        from harness.knobs import assumed

        @dataclass(frozen=True)
        class Plugin:
            odd: str = assumed({said}, {said})
        Plugin.__doc__ = {said}.replace("\\n", " ")
        """,
    )
    install("broken", f"raise ValueError({said})")
    shown = call("plugins", "show", "hostile")
    assert shown.status == 0
    assert_visible(shown.out, shown.err)
    listing = call("plugins")
    assert "BROKEN" in listing.out
    assert_visible(listing.out, listing.err)
    assert_visible(*call("run", "--plugin", "broken")[1:])


WRITERS = {"terminal.py", "say.py"}
# They write text of ours, or make it visible first.
OTHERS = {"agent.py", "api.py", "draw.py"}


def test_nothing_is_printed_by_another_way() -> None:
    """A new message goes through ``note`` or ``say``; these few files write what they checked."""
    found = set()
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_bytes())):
            if isinstance(node, ast.Call) and ast.unparse(node.func) in {
                *("print", "click.echo", "click.secho", "sys.stderr.write", "sys.stdout.write"),
                "warnings.warn",
            }:
                found.add(path.relative_to(PACKAGE).as_posix())
    names = {name.rpartition("/")[2] for name in found}
    assert names <= WRITERS | OTHERS | {"__init__.py"}, sorted(found)
