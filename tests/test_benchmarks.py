"""The benchmarks can be started: each prints its help, and every name that it imports exists."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

BENCHMARKS = sorted((Path(__file__).parents[1] / "benchmarks").glob("*.py"))
# One process for all of them, so that torch is imported once.
PRINT_HELP = """
import contextlib, io, json, os, runpy, sys
sys.path.insert(0, os.path.dirname(sys.argv[1]))  # as python does for a script
found = {}
for file in sys.argv[1:]:
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
print(json.dumps(found))
"""
IMPORT_NAMES = """
import importlib, json, sys
missing = []
for module, name in json.loads(sys.argv[1]):
    try:
        if not hasattr(importlib.import_module(module), name):
            importlib.import_module(f"{module}.{name}")
    except ImportError as error:
        missing.append(f"{module}.{name}: {error}")
print(json.dumps(missing))
"""


def answer(program: str, *arguments: str) -> object:
    command = [sys.executable, "-c", program, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


def test_every_benchmark_prints_its_help() -> None:
    found = answer(PRINT_HELP, *map(str, BENCHMARKS))
    assert isinstance(found, dict)
    wrong = {
        Path(file).name: status
        for file, (status, out) in found.items()
        if status != 0 or "--help" not in out
    }
    assert wrong == {}
    assert len(found) == len(BENCHMARKS) >= 20


def test_every_name_that_a_benchmark_imports_exists() -> None:
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
    assert answer(IMPORT_NAMES, json.dumps(names)) == []
