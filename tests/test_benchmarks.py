"""The benchmarks can be started: each prints its help, and every name that it imports exists."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.slow

BENCHMARKS = sorted((Path(__file__).parents[1] / "benchmarks").glob("*.py"))
Call = Callable[..., Any]
TRY_ALL = """
import contextlib, importlib, io, json, os, runpy, sys

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


def python(fork: Call, *arguments: str) -> str:
    """Run Python without a GPU and return what it printed."""
    with fork(*arguments, CUDA_VISIBLE_DEVICES="") as process:
        out, err = process.communicate()
    assert process.wait() == 0, err[-2000:]
    return str(out)


def benchmark(name: str) -> str:
    return str(BENCHMARKS[0].with_name(name))


def test_every_benchmark_prints_its_help_and_every_name_that_it_imports_exists(fork: Call) -> None:
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
    said = python(fork, "-c", TRY_ALL, *map(str, BENCHMARKS), json.dumps(names))
    found, missing = json.loads(said.splitlines()[-1])
    wrong = {
        Path(file).name: status
        for file, (status, out) in found.items()
        if status != 0 or "--help" not in out
    }
    assert wrong == {}
    assert len(found) == len(BENCHMARKS) >= 20
    assert missing == []


def measured(
    fork: Call, tmp_path: Path, name: str, *arguments: str
) -> dict[str, list[dict[str, object]]]:
    """Run a benchmark and return what it wrote."""
    output = tmp_path / "found.json"
    python(fork, benchmark(name), *arguments, "--json", str(output))
    found: dict[str, list[dict[str, object]]] = json.loads(output.read_text())
    return found


def test_without_a_gpu_its_benchmark_says_so_and_ends_well(fork: Call) -> None:
    (line,) = python(fork, benchmark("gpu.py")).splitlines()
    assert line.startswith("no GPU was found, so nothing is measured")


@pytest.mark.timeout(900)  # two networks are compiled
def test_every_part_of_the_gpus_benchmark_runs_on_the_cpu(fork: Call, tmp_path: Path) -> None:
    found = measured(fork, tmp_path, "gpu.py", "--device", "cpu", "--quick", "--seconds", "800")
    assert found.pop("card")
    assert len(found) == 9
    said = [row["said"] for rows in found.values() for row in rows if row.get("said")]
    assert not [text for text in said if "FAILED" in str(text) or "WRONG" in str(text)]
    assert not [text for text in said if "left out" in str(text)]
    speeds = [row for rows in found.values() for row in rows if "images/s" in row]
    assert len(speeds) > 15


@pytest.mark.timeout(600)
def test_the_engines_are_measured_beside_a_bare_loop_on_one_rank_and_two(
    fork: Call, tmp_path: Path
) -> None:
    sizes = ("--networks", "test_resnet:32:4", "--rounds", "1", "--steps", "1")
    found = measured(fork, tmp_path, "engines.py", *sizes, "--precision", "bf16")["found"]
    for ranks, ways in (("1", 6), ("2", 5)):
        (rows,) = found[ranks].values()  # type: ignore[call-overload]
        assert len(rows) == ways
        assert {"bare loop", "timm", "deepspeed", "ddp", "torch"} <= {row["way"] for row in rows}


@pytest.mark.timeout(600)
def test_runs_survive_kills(fork: Call, tmp_path: Path) -> None:
    few = ("--parts", "kills", "--methods", "baseline", "--kills", "1")
    (row,) = measured(fork, tmp_path, "endurance.py", *few)["kills"]
    assert row["kills"] == 1
    assert re.fullmatch(r"\d+ equal", str(row["records"])), row


def test_methods_are_measured_beside_the_baseline_and_the_oracle(
    fork: Call, tiny_home: Path, tmp_path: Path
) -> None:
    asked = ("--data", "synthweb:tiny", "--seeds", "2", "--methods", "gce", "--longer", "2")
    output = ("--epochs", "25", "--output", str(tmp_path / "found.json"))
    python(fork, benchmark("methods.py"), *asked, *output)
    rows = json.loads((tmp_path / "found.json").read_text())
    longer = "baseline, 2 x epochs"
    assert [row["method"] for row in rows] == ["baseline", "gce", longer, "oracle (true labels)"]
    assert [row["seeds"] for row in rows] == [2, 2, 2, 2]
    assert rows[2]["images"] == pytest.approx(2 * rows[0]["images"], rel=1e-6)
    assert {row["equal_cost"] for row in rows} <= {"baseline", longer}  # by seconds, which vary
    assert rows[0]["top1_gain"] == [0.0, 0.0, 0.0]
