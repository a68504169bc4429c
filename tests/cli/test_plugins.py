"""``harness plugins`` with other people's plugins, in real processes."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from harness.assembly.discovery import find_plugins

pytestmark = pytest.mark.usefixtures("tried_home")

METHOD = '''
from __future__ import annotations
from dataclasses import dataclass
from harness.hookspecs import hookimpl
from harness.knobs import assumed
from harness.values import Plan, Stage

@dataclass(frozen=True, kw_only=True)
class Plugin:
    """Somebody's method."""

    epochs: int = assumed(25, "short")

    @hookimpl
    def plan(self) -> Plan:
        return Plan(stages=(Stage(name="only", epochs=self.epochs),))
'''


@pytest.mark.slow
def test_others_plugins_are_listed_the_broken_ones_with_their_reason(
    install: Callable[..., Path], harness_process: Callable[..., Any]
) -> None:
    install("theirs", METHOD)
    install("crashing", "raise RuntimeError('no such luck')")
    install("dying", "import os; os._exit(3)")
    install("same_name", "", points="baseline = same_name:Plugin")
    listed = harness_process("plugins")
    assert (listed.status, listed.err) == (0, "")
    lines = {line.split()[0]: line for line in listed.out.splitlines()}
    assert lines["theirs"].split() == ["theirs", "theirs", "1.0"]
    assert lines["crashing"].endswith("BROKEN: RuntimeError: no such luck")
    assert lines["dying"].endswith("BROKEN: importing it ended Python with status 3")
    assert lines["baseline"].endswith("hides the plugin of same_name")
    assert {"name", *find_plugins()} == set(lines)


def test_the_list_as_json(install: Callable[..., Path], call: Callable[..., Any]) -> None:
    install("crashing_json", "raise RuntimeError('why')")
    rows = {row["name"]: row for row in json.loads(call("plugins", "--json").out)}
    assert rows["crashing_json"] == {
        "name": "crashing_json",
        "distribution": "crashing_json",
        "version": "1.0",
        "from": "crashing_json:Plugin",
        "summary": "",
        "broken": "RuntimeError: why",
        "shadows": [],
        "disabled": False,
    }
    assert rows["baseline"]["broken"] is None


def test_a_plugin_is_listed_with_the_first_line_of_its_file(
    install: Callable[..., Path], call: Callable[..., Any]
) -> None:
    install("told", f'"""Told (ICLR 2031): one idea.\n\nAnd more of it."""\n{METHOD}')
    install("no_python", "def (")
    lines = {line.split()[0]: line for line in call("plugins").out.splitlines()}
    assert lines["told"].endswith("  Told (ICLR 2031): one idea.")
    assert "BROKEN: SyntaxError" in lines["no_python"]
    assert "  ELR and ELR+ (NeurIPS 2020): early-learning" in lines["elr"]


def test_every_method_of_ours_names_its_paper_or_challenge_in_the_list(
    call: Callable[..., Any],
) -> None:
    rows = json.loads(call("plugins", "--json").out)
    methods = {row["name"]: row for row in rows if row["from"].startswith("harness_plugins.")}
    assert len(methods) > 10
    nameless = [
        name
        for name, row in methods.items()
        if not re.search(r"(19|20)\d\d|arXiv \d{4}", row["summary"])
    ]
    assert nameless == ["baseline"]


def test_others_method_is_planned_in_a_real_process(
    install: Callable[..., Path], harness_process: Callable[..., Any], tiny_home: Path
) -> None:
    install("mine", METHOD)
    install("broken_beside", "raise RuntimeError")
    planned = harness_process(
        *("plan", "--plugin", "mine", "--data", "synthweb:tiny", "--set", "epochs=50", "--json")
    )
    assert (planned.status, planned.err) == (0, "")
    plan = json.loads(planned.out)
    assert plan["label"] == "mine epochs=50"
    assert plan["plugins"] == ["mine", "synthweb", "timm", "texts", "console", "tensorboard"]
    assert plan["knobs"] == [
        {"name": "epochs", "value": "50", "origin": "command line", "source": "short"}
    ]
    (stage,) = plan["stages"]
    epochs = next(value for value in stage["values"] if value["name"] == "epochs")
    assert epochs == {"name": "epochs", "value": "2", "origin": "profile of synthweb"}


def test_a_plugin_may_be_called_what_no_file_may(
    install: Callable[..., Path], call: Callable[..., Any], tiny_home: Path
) -> None:
    install("odd_name", METHOD, points="../odd name = odd_name:Plugin")
    arguments = ("--plugin", "../odd name", "--data", "synthweb:tiny", "--json")
    assert json.loads(call("plan", *arguments).out)["record"].startswith(".._odd_name-seed0-")


def test_every_plugin_is_shown(call: Callable[..., Any]) -> None:
    for name in sorted(find_plugins()):
        shown = call("plugins", "show", name)
        assert shown.status == 0, shown
        assert shown.out.startswith(f"{name}, of webvision-harness "), shown
        assert "hooks: " in shown.out, shown
        assert "MISSING" not in shown.out, shown
        assert "no summary" not in shown.out, shown


def test_a_methods_knobs_are_shown_with_default_type_and_source(call: Callable[..., Any]) -> None:
    shown = call("plugins", "show", "malong_curriculum").out
    assert "  model = D  (A | B | C | D)\n      published: Malong deck" in shown
    assert "  epochs = 75  (int > 0)\n      assumed: not on the slides" in shown
    knobs = json.loads(call("plugins", "show", "malong_curriculum", "--json").out)["knobs"]
    assert knobs[0]["knob"] == "model"
    assert knobs[0].keys() == {"knob", "default", "type", "from"}


def test_showing_or_checking_what_is_not_there_names_the_nearest(call: Callable[..., Any]) -> None:
    for command in ("show", "check"):
        assert "did you mean 'timm'" in call("plugins", command, "tim").error


def test_showing_a_broken_plugin_says_why(
    install: Callable[..., Path], call: Callable[..., Any]
) -> None:
    install("shown_broken", "raise RuntimeError('why')")
    assert call("plugins", "show", "shown_broken").error == (
        "plugin 'shown_broken' of shown_broken 1.0 cannot be imported: RuntimeError: why"
    )


def test_a_sound_plugin_is_checked_ok(
    install: Callable[..., Path], call: Callable[..., Any], tiny_home: Path
) -> None:
    install("sound", METHOD)
    checked = call("plugins", "check", "sound")
    assert checked == (0, "sound: ok\n", "")


def test_an_unsound_plugin_is_checked_with_its_problems(
    install: Callable[..., Path], call: Callable[..., Any], tiny_home: Path
) -> None:
    install("unsound", METHOD.replace('assumed(25, "short")', "0"))
    checked = call("plugins", "check", "unsound")
    assert checked.status == 1
    assert checked.err == ""
    first, *rest = checked.out.splitlines()
    assert first == ("unsound: knob epochs has no source; write published(...) or assumed(...)")
    assert rest == ["unsound: stage 'only': epochs must be above 0 and at most 1,000,000, not 0"]
    assert json.loads(call("plugins", "check", "unsound", "--json").out) == [first, *rest]


def test_what_it_is_checked_on_must_read_as_data(call: Callable[..., Any]) -> None:
    assert "names no data set" in call("plugins", "check", "timm", "--data", ":tiny").error


def test_a_disabled_plugin_is_listed_but_neither_imported_nor_used(
    install: Callable[..., Path], call: Callable[..., Any], tiny_home: Path
) -> None:
    module = install("harmful", METHOD + "open(__file__ + '.imported', 'w').close()\n")
    assert call("plugins", "disable", "harmful").out.startswith("harmful is disabled")
    listed = call("plugins").out.splitlines()
    assert [line.split() for line in listed if line.startswith("harmful")] == [
        ["harmful", "harmful", "1.0", "disabled"]
    ]
    plan = ("plan", "--data", "synthweb:tiny", "--plugin")
    words = "plugin 'harmful' is disabled; harness plugins enable harmful"
    for command in (
        (*plan, "harmful"),
        (*plan, "baseline", "--with", "harmful"),
        ("plugins", "show", "harmful"),
        ("plugins", "check", "harmful"),
    ):
        assert call(*command).error == words
    assert not Path(f"{module}.imported").exists()
    assert call("plugins", "enable", "harmful").out == "harmful is enabled\n"
    assert call(*plan, "harmful").status == 0


def test_a_disabled_observer_is_left_out_of_runs(call: Callable[..., Any], tiny_home: Path) -> None:
    call("plugins", "disable", "tensorboard")
    plan = call("plan", "--plugin", "baseline", "--data", "synthweb:tiny", "--json")
    assert json.loads(plan.out)["plugins"] == ["baseline", "synthweb", "timm", "texts", "console"]
    call("plugins", "disable", "timm")
    words = "plugin 'timm' is disabled; harness plugins enable timm"
    assert call("plan", "--plugin", "baseline", "--data", "synthweb:tiny").error == words


def test_only_what_is_there_is_disabled_and_only_what_is_disabled_enabled(
    call: Callable[..., Any],
) -> None:
    assert "did you mean 'baseline'" in call("plugins", "disable", "basline").error
    assert call("plugins", "enable", "baseline").error == (
        "unknown disabled plugin 'baseline'; disabled: none"
    )


@pytest.mark.slow
def test_a_plugin_in_a_folder_needs_no_installing(
    tmp_path: Path, harness_process: Callable[..., Any], tiny_home: Path
) -> None:
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / "idea.py").write_text(METHOD)
    arguments = ("--plugins-dir", str(folder), "plan", "--plugin", "idea")
    planned = harness_process(*arguments, "--data", "synthweb:tiny", "--json")
    assert (planned.status, planned.err) == (0, "")
    assert json.loads(planned.out)["plugins"][0] == "idea"
    listed = harness_process("--plugins-dir", str(folder), "plugins")
    assert ["idea", "idea.py", "0"] in [line.split() for line in listed.out.splitlines()]
    assert "unknown plugin 'idea'" in harness_process("plan", "--plugin", "idea").error


def test_a_folder_of_plugins_that_is_not_there_is_one_line(
    tmp_path: Path, call: Callable[..., Any], monkeypatch: Any
) -> None:
    monkeypatch.setenv("HARNESS_PLUGINS_DIR", "")  # the option sets it
    ended = call("--plugins-dir", str(tmp_path / "none"), "plugins")
    assert ended.error.startswith("HARNESS_PLUGINS_DIR (or --plugins-dir) names ")


@pytest.mark.slow
def test_a_plugins_error_is_one_line_and_its_traceback_is_there_if_asked_for(
    install: Callable[..., Path], harness_process: Callable[..., Any], monkeypatch: Any
) -> None:
    failing = "return Plan(stages=(Stage(name='only', lr=1 / 0),))"
    install("failing", METHOD.replace("return Plan", f"{failing}\n        return Plan"))
    ended = harness_process("plan", "--plugin", "failing")
    assert ended.error == (
        "plugin 'failing': plan: ZeroDivisionError: division by zero (failing.py, line 16: "
        f"{failing})"
    )
    monkeypatch.setenv("HARNESS_TRACEBACK", "1")
    shown = harness_process("plan", "--plugin", "failing")
    assert shown.status == 2
    assert "Traceback (most recent call last):" in shown.err
    assert shown.err.splitlines()[-1].startswith("Error: plugin 'failing'")
