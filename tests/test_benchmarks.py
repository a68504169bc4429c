"""The benchmarks can be started: each prints its help, and every name that it imports exists."""

from __future__ import annotations

import ast
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

BENCHMARKS = sorted((Path(__file__).parents[1] / "benchmarks").glob("*.py"))
# One process for all of them, so that torch is imported once.
TRY_ALL = """
import contextlib, importlib, io, json, os, runpy, sys
from harness.machine.garbage import collect_seldom

collect_seldom()
sys.path.insert(0, os.path.dirname(sys.argv[1]))  # as python does for a script
names, found = json.loads(sys.argv[-1]), {}
for file in sys.argv[1:-1]:
    sys.argv, out = [file, "--help"], io.StringIO()
    try:
        with contextlib.redirect_stdout(out):
            runpy.run_path(file, run_name="__main__")
        status = "went on after its help"
    except SystemExit as ended:
        status = ended.code or 0
    except Exception as error:
        status = repr(error)
    found[file] = [status, out.getvalue()]
missing = []
for module, name in names:
    try:
        if not hasattr(importlib.import_module(module), name):
            importlib.import_module(f"{module}.{name}")
    except ImportError as error:
        missing.append(f"{module}.{name}: {error}")
print(json.dumps([found, missing]))
"""


def test_every_benchmark_prints_its_help_and_every_name_that_it_imports_exists() -> None:
    names = sorted(
        {
            (node.module, alias.name)
            for file in BENCHMARKS
            for node in ast.walk(ast.parse(file.read_bytes()))
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("harness")
            for alias in node.names
        }
    )
    assert len(names) > 50
    command = [sys.executable, "-c", TRY_ALL, *map(str, BENCHMARKS), json.dumps(names)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    found, missing = json.loads(done.stdout.splitlines()[-1])
    wrong = {
        Path(file).name: status
        for file, (status, out) in found.items()
        if status != 0 or "--help" not in out
    }
    assert wrong == {}
    assert len(found) == len(BENCHMARKS) >= 20
    assert missing == []


def measured(tmp_path: Path, name: str, *arguments: str) -> dict[str, list[dict[str, object]]]:
    """Run a benchmark without a GPU and return what it wrote."""
    command = [sys.executable, str(BENCHMARKS[0].with_name(name)), *arguments]
    done = subprocess.run(
        [*command, "--json", str(tmp_path / "found.json")],
        env=os.environ | {"CUDA_VISIBLE_DEVICES": ""},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    found: dict[str, list[dict[str, object]]] = json.loads((tmp_path / "found.json").read_text())
    return found


def test_without_a_gpu_its_benchmark_says_so_and_ends_well() -> None:
    done = subprocess.run(
        [sys.executable, str(BENCHMARKS[0].with_name("gpu.py"))],
        env=os.environ | {"CUDA_VISIBLE_DEVICES": ""},
        capture_output=True,
        text=True,
        check=True,
    )
    (line,) = done.stdout.splitlines()
    assert line.startswith("no GPU was found, so nothing is measured")


@pytest.mark.timeout(900)  # two networks are compiled
def test_every_part_of_the_gpus_benchmark_runs_on_the_cpu(tmp_path: Path) -> None:
    found = measured(tmp_path, "gpu.py", "--device", "cpu", "--quick", "--seconds", "800")
    assert found.pop("card")
    assert len(found) == 9
    said = [row["said"] for rows in found.values() for row in rows if row.get("said")]
    assert not [text for text in said if "FAILED" in str(text) or "WRONG" in str(text)]
    assert not [text for text in said if "left out" in str(text)]
    speeds = [row for rows in found.values() for row in rows if "images/s" in row]
    assert len(speeds) > 15


@pytest.mark.timeout(600)
def test_the_engines_are_measured_beside_a_bare_loop_on_one_rank_and_two(tmp_path: Path) -> None:
    sizes = ("--networks", "test_resnet:32:4", "--rounds", "1", "--steps", "1")
    found = measured(tmp_path, "engines.py", *sizes, "--precision", "bf16")["found"]
    for ranks, ways in (("1", 6), ("2", 5)):
        (rows,) = found[ranks].values()  # type: ignore[call-overload]
        assert len(rows) == ways
        assert {"bare loop", "timm", "deepspeed", "ddp", "torch"} <= {row["way"] for row in rows}


@pytest.mark.timeout(600)
def test_runs_survive_kills(tmp_path: Path) -> None:
    few = ("--parts", "kills", "--methods", "baseline", "--kills", "1")
    (row,) = measured(tmp_path, "endurance.py", *few)["kills"]
    assert row["kills"] == 1
    assert re.fullmatch(r"\d+ equal", str(row["records"])), row


def test_methods_are_measured_beside_the_baseline_and_the_oracle(tmp_path: Path) -> None:
    asked = ("--data", "synthweb:tiny", "--seeds", "2", "--methods", "gce", "--longer", "2")
    output = ("--output", str(tmp_path / "found.json"))
    done = subprocess.run(
        [sys.executable, str(BENCHMARKS[0].with_name("methods.py")), *asked, *output],
        env=os.environ | {"HARNESS_HOME": str(tmp_path / "home"), "CUDA_VISIBLE_DEVICES": ""},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    rows = json.loads((tmp_path / "found.json").read_text())
    longer = "baseline, 2 x epochs"
    assert [row["method"] for row in rows] == ["baseline", "gce", longer, "oracle (true labels)"]
    assert [row["seeds"] for row in rows] == [2, 2, 2, 2]
    assert rows[2]["images"] == pytest.approx(2 * rows[0]["images"], rel=1e-6)
    assert {row["equal_cost"] for row in rows} <= {"baseline", longer}  # by seconds, which vary
    assert rows[0]["top1_gain"] == [0.0, 0.0, 0.0]
