"""However a run is asked for, it has one label and one id."""

from __future__ import annotations

from typing import Any

import pytest

from harness.assembly.activation import Activation
from harness.knobs import parse_value, spelled
from harness.spec import Override, RunSpec

SAME = [
    *[("elr", {"plus": text}, "elr plus=true") for text in ("true", "1", "yes", "True", "on")],
    *[("baseline", {"lr": text}, "baseline lr=0.1") for text in ("0.1", ".1", "1e-1", "+0.10")],
    *[("baseline", {"lr": text}, "baseline lr=1") for text in ("1", "1.0", "1e0")],
    *[("baseline", {"epochs": text}, "baseline epochs=3") for text in ("3", "3.0", "03")],
    ("baseline", {"baseline.epochs": "+3"}, "baseline epochs=3"),
    ("huawei", {"members": "none, top_ranked,"}, "huawei members=none,top_ranked"),
]


@pytest.mark.parametrize(("plugin", "knobs", "label"), SAME)
def test_a_knob_has_one_spelling(plugin: str, knobs: dict[str, str], label: str) -> None:
    asked = RunSpec(plugin=plugin, knobs=knobs)
    assert Activation(asked).spec.label == label


def test_options_have_one_order() -> None:
    one = RunSpec(
        plugin="malong_curriculum",
        without=("WeighSubsets", "KeepSubsets"),
        overrides=(
            Override("task-2", "lr", ".5"),
            Override("", "lr", "1"),
            Override("", "epochs", "2"),
        ),
    )
    label = Activation(one).spec.label
    assert label == "malong_curriculum -KeepSubsets -WeighSubsets epochs=2 lr=1 task-2.lr=0.5"
    other = RunSpec(
        plugin="malong_curriculum",
        without=("KeepSubsets", "WeighSubsets", "KeepSubsets"),
        overrides=(
            Override("", "epochs", "2.0"),
            Override("", "lr", "1e0"),
            Override("task-2", "lr", "0.5"),
        ),
    )
    assert Activation(other).spec.label == label


@pytest.mark.parametrize(
    ("kind", "text", "written"),
    [
        (float, "1e-5", "1e-05"),
        (float, "100000", "100000"),
        (int, "7", "7"),
        (int | None, "None", "none"),
        (str, " a, b", " a, b"),
        (tuple[str, ...], "a , b,", "a,b"),
        (tuple[float, ...], "1,.5 , 2.50,", "1,0.5,2.5"),
        (tuple[int, ...], "", ""),
    ],
)
def test_what_is_written_is_read_as_the_same(kind: Any, text: str, written: str) -> None:
    value = parse_value("x", kind, text)
    assert spelled(value) == written
    assert parse_value("x", kind, written) == value
