"""The Python face: its names, what importing it costs, and its five calls."""

from __future__ import annotations

import ast
import inspect
import re
import subprocess
import sys
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest

import harness
from harness import functional
from harness.errors import HarnessError

HEAVY = {"torch", "pandas", "numpy", "scipy", "timm", "deepspeed", "pydantic", "pluggy", "click"}


def typed_imports(module: types.ModuleType) -> set[tuple[str, str]]:
    """Return (module, name) of the imports under TYPE_CHECKING."""
    tree = ast.parse(Path(str(module.__file__)).read_text())
    blocks = [node for node in tree.body if isinstance(node, ast.If)]
    imports = [node for block in blocks for node in block.body if isinstance(node, ast.ImportFrom)]
    return {(str(node.module), name.name) for node in imports for name in node.names}


def test_the_names_are_those_that_type_checkers_see() -> None:
    loaded = {(module, name) for module, names in harness._NAMES.items() for name in names}
    assert typed_imports(harness) == loaded
    assert sorted(harness.__all__) == sorted(name for _, name in loaded)
    assert set(harness.__all__) <= set(dir(harness))


@pytest.mark.parametrize("name", harness.__all__)
def test_a_name_is_what_its_module_has(name: str) -> None:
    value = getattr(harness, name)
    assert value is getattr(sys.modules[harness._HOMES[name]], name)
    assert not isinstance(value, types.ModuleType)


@pytest.mark.parametrize("module", [harness, functional], ids=lambda module: module.__name__)
def test_an_unknown_name_is_an_attribute_error(module: types.ModuleType) -> None:
    with pytest.raises(AttributeError, match=rf"module '{module.__name__}' has no attribute 'rnu'"):
        module.rnu  # noqa: B018 - reading it is the test


def test_importing_harness_loads_nothing_heavy() -> None:
    script = "import sys, harness, harness.functional; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    loaded = set(done.stdout.split())
    assert not HEAVY & loaded
    assert {name for name in loaded if name.split(".")[0] == "harness"} == {
        "harness",
        "harness.functional",
    }


def test_no_module_shadows_a_call() -> None:
    modules = {path.stem for path in Path(str(harness.__file__)).parent.glob("*.py")}
    folders = {path.name for path in Path(str(harness.__file__)).parent.iterdir() if path.is_dir()}
    assert not set(harness.__all__) & (modules | folders)


@pytest.mark.parametrize("name", functional.__all__)
def test_a_function_is_documented_with_its_source(name: str) -> None:
    function = getattr(functional, name)
    assert inspect.isfunction(function)
    assert function.__module__ in functional._NAMES
    assert "**Source:**" in inspect.getdoc(function)  # type: ignore[operator]


@pytest.mark.parametrize("name", functional.__all__)
def test_a_function_reads_no_global_state(name: str) -> None:
    tree = ast.parse(inspect.getsource(getattr(functional, name)))
    assert not [node for node in ast.walk(tree) if isinstance(node, (ast.Global, ast.Nonlocal))]
    called = {ast.unparse(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call)}
    drawn = [
        call
        for call in called
        if call == "open" or call.startswith(("np.random", "torch.rand", "random."))
    ]
    assert drawn == []


def test_a_trick_and_a_formula_of_functional_agree() -> None:
    import torch

    targets = torch.eye(3)
    before = targets.clone()
    smoothed = functional.smooth(targets, 0.3)
    assert smoothed[0].tolist() == pytest.approx([0.8, 0.1, 0.1])
    assert torch.equal(targets, before)


@pytest.mark.slow
def test_the_calls_plan_run_and_compare(tiny_home: Path) -> None:
    asked = {"data": "synthweb:tiny", "engine": "torch", "stage": {"epochs": 1}}
    planned = harness.plan("baseline", crops=1, **asked)
    assert [stage["name"] for stage in planned["stages"]] == ["train"]
    records = [harness.run("baseline", crops=1, seed=seed, **asked) for seed in (0, 1)]
    assert [record.seed for record in records] == [0, 1]
    assert harness.run("baseline", crops=1, seed=1, **asked) == records[1]
    assert [record.id for record in harness.records()] == [record.id for record in records]
    board = harness.leaderboard(data="synthweb:tiny")
    assert set(board["method"]) == {"baseline crops=1 epochs=1"}
    assert "synthweb:tiny · test · 1 view" in board._repr_html_()
    assert len(harness.leaderboard(seeds=1)) == len(harness.leaderboard(seeds=[1])) == 1
    with pytest.raises(HarnessError, match="no record has seed 5; seeds with records: 0, 1"):
        harness.leaderboard(seeds=5)
    assert "synthweb:tiny" not in board[["method"]]._repr_html_()
    with pytest.raises(HarnessError, match="unknown data set 'webvision'"):
        harness.leaderboard(data="webvision")
    assert set(harness.leaderboard(kind="published")["kind"]) == {"published"}
    with pytest.raises(HarnessError, match="unknown metric 'top9'"):
        harness.compare(records[0].id, records[1].id, metric=cast("Any", "top9"))
    compared = harness.compare(records[0].id, records[1].id, data="synthweb:tiny", split="test")
    assert compared.images == 60
    assert "baseline" in repr(compared)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: harness.plan("basline"), "did you mean 'baseline'"),
        (lambda: harness.plan("baseline", epoch=3), "unknown knob of baseline 'epoch'"),
        (lambda: harness.plan("baseline", epochs=0), "knob epochs must be an int > 0, got 0"),
        (lambda: harness.compare("one", "two"), "one"),
        (lambda: harness.records(home=""), "home='' names no folder; leave it out to use HARN"),
        (lambda: harness.leaderboard(kind=cast("Any", "noisy")), "did you mean 'noise'"),
    ],
)
def test_a_wrong_call_is_one_line(call: Callable[[], object], words: str, tiny_home: Path) -> None:
    with pytest.raises(HarnessError, match=words) as caught:
        call()
    assert "\n" not in str(caught.value)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ({"seed": "1"}, "seed must be an int from 0 to 2147483647, got '1'"),
        ({"seed": True}, "seed must be an int from 0 to 2147483647, got True"),
        ({"seed": -1}, "got -1"),
        ({"seed": 2.0}, "got 2.0"),
        ({"data": 3}, 'data must be a text such as "synthweb:tiny", got 3'),
        ({"plugin": 3}, "plugin must be the name of a method, got 3"),
        ({"full_size": "no"}, "full_size must be True or False, got 'no'"),
        ({"checkpoint_seconds": "soon"}, "checkpoint_seconds must be a number from 0, got 'soon'"),
        ({"checkpoint_seconds": float("nan")}, "checkpoint_seconds must be a number from 0"),
        ({"ranks": 0}, "ranks must be an int from 1, got 0"),
        ({"deepspeed": {"nosuch": 1}}, "unknown key 'nosuch'"),
        ({"knobs": {"lr": 1}, "lr": 2}, "knob 'lr' is given twice; give it once"),
        ({"knobs": {"baseline.lr": 1}, "lr": 2}, "knob 'lr' is given twice; give it once"),
        ({"stage": {"epochs": 1, ".epochs": 2}}, "stage field 'epochs' is given twice"),
    ],
)
def test_a_value_of_another_kind_is_refused_before_anything_is_trained(
    asked: dict[str, Any], words: str, tiny_home: Path
) -> None:
    """A seed of True was trained, and its record then left out: it contradicts its id."""
    with pytest.raises(HarnessError, match=re.escape(words)):
        harness.plan(**{"plugin": "baseline", "data": "synthweb:tiny", "home": tiny_home, **asked})


def test_two_spellings_of_one_run_are_one_run(tiny_home: Path) -> None:
    def planned(**asked: Any) -> dict[str, Any]:
        return dict(harness.plan("baseline", data="synthweb:tiny", home=tiny_home, **asked))

    assert planned(seed=np.int64(3)) == planned(seed=3)
    assert planned(knobs={"baseline.lr": 0.5}) == planned(lr=0.5)
    assert planned(without="MultiCrop") == planned(without=["MultiCrop", "MultiCrop"])


def test_the_board_of_a_notebook_leaves_an_altered_record_out(tiny_home: Path) -> None:
    harness.run(
        "baseline", data="synthweb:tiny", engine="torch", home=tiny_home, stage={"epochs": 1}
    )
    (path,) = (tiny_home / "records").glob("*.json")
    assert len(harness.leaderboard(home=tiny_home))
    path.write_text(path.read_text().replace('"seed": 0', '"seed": 7'))
    with pytest.warns(UserWarning, match="left out: .*altered"):
        assert not len(harness.leaderboard(home=tiny_home))


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"engine": "jax"}, "unknown engine 'jax'"),
        ({"engine": "torch", "deepspeed": {"steps_per_print": 1}}, "'torch' does not read them"),
        ({"engine": "ddp", "deepspeed": {"steps_per_print": 1}}, "'ddp' does not read them"),
    ],
)
def test_an_engine_that_would_not_do_what_was_asked_is_refused(
    asked: dict[str, object], said: str
) -> None:
    with pytest.raises(harness.HarnessError, match=said):
        harness.plan("baseline", **asked)
