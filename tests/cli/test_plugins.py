"""``harness plugins`` with other people's plugins, in real processes."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from harness.assembly.discovery import find_plugins

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
        "broken": "RuntimeError: why",
        "shadows": [],
    }
    assert rows["baseline"]["broken"] is None


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
