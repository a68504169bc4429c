"""Packages to begin with: each kind is written, installed, tested by its own tests, and run."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from harness.conformance import check_plugin, plugin_checks
from harness.spec import DataSpec
from harness.starters.write import COMMANDS, KINDS, Kind, check_name, write_package

Inside = Callable[..., subprocess.CompletedProcess[str]]
ROOT = Path(__file__).parents[2]
INSTALLED_ALONE = {"HARNESS_PLUGINS_DIR": "", "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_works_from_its_folder_and_keeps_the_contract(
    kind: Kind, tmp_path: Path, tiny_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = f"first-{kind}"
    files = write_package(name, kind, tmp_path / "package")
    assert [file.name for file in files[:2]] == [f"first_{kind}.py", "pyproject.toml"]
    texts = {file: file.read_text() for file in files}
    assert not any("tarter" in text for text in texts.values())
    code = [text for file, text in texts.items() if file.suffix == ".py"]
    assert max(len(line) for text in code for line in text.splitlines()) <= 100
    monkeypatch.setenv("HARNESS_PLUGINS_DIR", str(tmp_path / "package"))
    monkeypatch.setattr(sys, "path", [*sys.path])
    given: dict[str, Any] = {"stage": {"backbone": name}} if kind == "network" else {}
    if kind == "data":
        data = DataSpec(name=name, path=str(tmp_path / "package" / "tests" / "pictures"))
        given = {"data": data}
    assert check_plugin(name, **given) == []
    del sys.modules[f"first_{kind}"]


def test_what_cannot_be_a_plugin_is_refused_in_one_line(
    call: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name, words in (
        ("2nd", "a plugin cannot be called '2nd': use letters, digits"),
        ("a b", "a plugin cannot be called 'a b'"),
        ("../up", "a plugin cannot be called '../up'"),
        ("x" * 61, "a plugin cannot be called"),
        ("baseline", "there is a plugin 'baseline' already"),
        ("json", "a module 'json' is part of Python or installed; choose another name, such as my"),
        ("Torch", "a module 'torch' is part of Python or installed"),
        ("class", "a module 'class' is part of Python"),
    ):
        assert words in call("plugins", "new", name).error
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("mine")
    assert "mine exists already; name another --folder" in call("plugins", "new", "mine").error
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]


def test_a_name_that_the_page_uses_is_no_class(tmp_path: Path) -> None:
    check_name("stage", lambda _: False)
    write_package("stage", "method", tmp_path / "stage")
    assert "class StagePlugin:" in (tmp_path / "stage" / "stage.py").read_text()


def test_the_command_says_what_to_do_next(
    call: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    ended = call("plugins", "new", "my_idea", "--kind", "loss")
    assert "wrote my_idea/my_idea.py\nwrote my_idea/pyproject.toml\n" in ended.out
    assert ended.out.endswith(
        "  cd my_idea\n  pip install -e '.[test]'\n  "
        "harness run --plugin baseline --with my_idea --data synthweb:tiny\n  pytest\n"
    )


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An environment of its own in which one package of each kind was installed by pip."""
    folder = tmp_path_factory.mktemp("strangers")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder / "venv"], check=True)
    python = folder / "venv" / "bin" / "python"
    # It sees this environment's packages, and the harness as it is here; nothing is downloaded.
    seen = [path for path in sys.path if path.endswith("-packages")]
    places = [ROOT, *(ROOT / name for name in ("plugins", "leaderboard", "reproductions")), *seen]
    (site,) = (folder / "venv").glob("lib/python*/site-packages")
    (site / "seen.pth").write_text("".join(f"{place}\n" for place in places))
    for kind in KINDS:
        write_package(f"strange-{kind}", kind, folder / kind)
    pip = [sys.executable, "-m", "pip", "--python", python, "install", "--quiet", "--no-index"]
    packages = [folder / kind for kind in KINDS]
    subprocess.run([*pip, "--no-deps", "--no-build-isolation", *packages], check=True)
    return folder


@pytest.fixture(scope="module")
def inside(environment: Path, drawn_data: Path, forks_of: Callable[..., Any]) -> Iterator[Inside]:
    """Run Python in the environment, away from the packages' folders."""
    home = environment / "home"
    home.mkdir()
    (home / "data").symlink_to(drawn_data)
    variables = INSTALLED_ALONE | {"HARNESS_HOME": str(home)}
    with forks_of(str(environment / "venv" / "bin" / "python"), environment / "venv") as fork:

        def run(*arguments: str) -> subprocess.CompletedProcess[str]:
            with fork("-m", *arguments, **variables) as process:
                out, err = process.communicate()
            return subprocess.CompletedProcess(arguments, process.wait(), out, err)

        yield run


@pytest.mark.slow
def test_one_of_each_kind_is_installed_run_and_on_the_board(
    environment: Path, inside: Inside
) -> None:
    data = f"strange-data:{environment / 'data' / 'tests' / 'pictures'}"
    others = [part for k in ("loss", "network", "observer") for part in ("--with", f"strange-{k}")]
    stage = ("backbone=strange-network", "input_size=32", "epochs=1", "batch_size=8")
    overrides = [part for field in stage for part in ("--stage", field)]
    asked = ["--plugin", "strange-method", "--data", data, *others, *overrides]

    ended = inside("harness", "run", *asked, "--engine", "torch", "--json")

    assert ended.returncode == 0, ended.stderr
    record = json.loads(Path(json.loads(ended.stdout)["record"]).read_text())
    versions = {plugin["name"]: plugin["version"] for plugin in record["plugins"]}
    assert {f"strange-{kind}": "0.1.0" for kind in KINDS}.items() <= versions.items()
    first, second = record["stages"]
    assert first["tricks"] == {"loss": ["GeneralisedCrossEntropy(q=0.7)"]}
    assert second["tricks"]["noise"] == ["DropUnlikely(judge=Stage('judge'), share=0.2)"]
    losses = (environment / "home" / "strange-observer" / "losses.csv").read_text().splitlines()
    assert len(losses) == 1 + 2 * 3
    board = inside("harness", "leaderboard")
    assert "strange-data · test" in board.stdout
    assert "strange-method" in board.stdout


@pytest.mark.slow
def test_the_tests_of_each_package_pass(environment: Path, inside: Inside) -> None:
    files = [str(path) for path in sorted(environment.glob("*/tests/test_*.py"))]
    assert len(files) == len(KINDS) == len(COMMANDS)
    alone = ("-k", "not ranks")  # two ranks take 20 s each; tests/conformance tries them once
    ended = inside("pytest", "-q", "-p", "no:cacheprovider", *alone, *files)
    assert ended.returncode == 0, ended.stdout
    tried = len(plugin_checks("baseline")) - 1
    assert f"{len(KINDS) * tried} passed, {len(KINDS)} deselected" in ended.stdout
