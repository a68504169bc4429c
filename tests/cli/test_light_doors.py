"""The doors are light: what a command does not need, it does not load."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

HEAVY = (
    *("torch", "torchvision", "pandas", "numpy", "timm", "deepspeed", "sklearn", "scipy"),
    *("matplotlib", "PIL"),
)

DOOR = """
import contextlib, io, json, sys
from harness.cli import main
loaded = {}
for line in json.loads(sys.argv[1]):
    sys.argv = ["harness", *line.split()]
    with contextlib.redirect_stdout(io.StringIO()) as out:
        try:
            main()
        except SystemExit as ended:
            assert not ended.code, (line, ended.code)
    assert out.getvalue().strip(), line
    loaded[line] = sorted(sys.modules)
print(json.dumps(loaded))
"""
DOORS = (
    *("--help", "--version", "run --help", "plan --help", "leaderboard --help", "doctor --help"),
    *("data --help", "data check --help", "data stats --help", "data index --help"),
    *("data pack --help", "plugins --help", "plugins show --help", "plugins check --help"),
    *("compare --help", "ablate --help", "estimate --help", "reproduce --help"),
    *("plugins", "plugins --json"),
)


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> dict[str, set[str]]:
    """What is loaded after each door, all of them in one process, ``plugins`` for the first time.

    What an earlier door loads stays, so each one's list holds those before it.
    """
    folder: Path = tmp_path_factory.mktemp("doors")
    command = [sys.executable, "-c", DOOR, json.dumps(DOORS)]
    environment = {"HARNESS_HOME": str(folder / "home"), "PATH": "/usr/bin:/bin"}
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, env=environment, cwd=folder
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return {door: set(modules) for door, modules in json.loads(done.stdout).items()}


def test_a_door_loads_nothing_heavy(loaded: dict[str, set[str]]) -> None:
    assert set(loaded) == set(DOORS)
    assert [(d, name) for d in DOORS for name in HEAVY if name in loaded[d]] == []


def test_listing_plugins_imports_none_of_them(loaded: dict[str, set[str]]) -> None:
    own = {"harness_plugins.baseline", "harness.data.synthweb", "harness.observers.console"}
    assert not own & loaded[DOORS[-1]]


def test_the_first_door_does_not_even_load_pydantic_or_pluggy(loaded: dict[str, set[str]]) -> None:
    assert (
        not {"pydantic", "pluggy", "harness.store.record", "harness.assembly.hooks"}
        & loaded["--help"]
    )


@pytest.mark.slow
@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("reproduce --no-run --data synthweb:tiny", "not run yet"),
        ("doctor", "deepspeed"),
        ("plan --plugin baseline --data synthweb:tiny", "epochs"),
    ],
)
def test_what_trains_nothing_needs_no_torch(tiny_home: Path, line: str, says: str) -> None:
    (tiny_home / "records").mkdir()
    script = (
        "import sys\n"
        "from harness.cli import main\n"
        "try:\n    main()\n"
        "except SystemExit as ended:\n    assert not ended.code\n"
        "assert not {'torch', 'pandas', 'timm', 'deepspeed'} & set(sys.modules)\n"
    )
    command = [sys.executable, "-c", script, *line.split()]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert says in done.stdout


@pytest.mark.slow
def test_a_finished_run_is_answered_without_torch(
    tiny_home: Path, fork: Callable[..., Any]
) -> None:
    command = ["run", "--plugin", "baseline", "--data", "synthweb:tiny", "--stage", "epochs=1"]
    script = (
        "import sys\n"
        "from harness.cli import main\n"
        "try:\n    main()\n"
        "except SystemExit as ended:\n    assert not ended.code\n"
        "print('MODULES', *sys.modules)\n"
    )
    with fork("-c", script, *command) as process:
        trained, err = process.communicate(timeout=200)
    assert process.returncode == 0, err
    again = [sys.executable, "-c", script, *command]
    answered = subprocess.run(again, capture_output=True, text=True, check=True).stdout
    loaded = []
    for out in (trained, answered):
        said, _, modules = out.partition("MODULES")
        loaded.append({*modules.split()} & {*HEAVY, "harness.training.ranks"})
        assert "10 views" in said
    assert "torch" in loaded[0]
    assert loaded[1] <= {"numpy"}


def test_the_public_values_load_neither_torch_nor_pandas() -> None:
    modules = (
        *("values", "spec", "store.record", "errors", "hookspecs", "samples"),
        *("assembly.recipe", "assembly.activation", "progress"),
    )
    script = "\n".join(
        [
            *(f"import harness.{module}" for module in modules),
            "import harness_plugins.baseline, harness_plugins.malong, sys",
            "print(*sys.modules)",
        ]
    )
    command = [sys.executable, "-c", script]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert not {"pandas", "deepspeed", "tensorboard"} & set(done.stdout.split())
