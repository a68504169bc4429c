"""The wheel: what it installs, and that a run from it minds nothing that lies where the user is."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import click
import pytest

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[1]
OURS = {"harness", "harness_plugins", "harness_leaderboard", "harness_reproductions"}
RAISING = 'raise RuntimeError("the working folder was imported")\n'


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "-w", folder, ROOT]
    subprocess.run(command, check=True, cwd=folder)
    (found,) = folder.glob("*.whl")
    return found


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An environment with the wheel alone; its dependencies are those of this one."""
    home = tmp_path_factory.mktemp("environment")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", home], check=True)
    tag = f"python{sys.version_info.major}.{sys.version_info.minor}"
    site = home / "lib" / tag / "site-packages"
    pip = [sys.executable, "-m", "pip", "--python", home / "bin" / "python", "install"]
    subprocess.run([*pip, "--quiet", "--no-deps", wheel], check=True)
    # What a .pth file names is searched last, and .pth files in there are not read: the clone that
    # is installed here stays unseen.
    (site / "dependencies.pth").write_text(f"{Path(click.__file__).parents[1]}\n")
    return home / "bin" / "harness"


def test_it_installs_our_four_packages_and_their_data(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    tops = {name.partition("/")[0] for name in names}
    assert {top for top in tops if not top.endswith(".dist-info")} == OURS
    assert "harness_leaderboard/published.json" in names
    assert "harness_leaderboard/field.csv" in names
    assert "harness_reproductions/report.html" in names
    assert "harness_leaderboard/site/templates/board.html" in names
    for name in ("look.css", "look.js", "templates/base.html"):
        assert f"harness/pages/{name}" in names
    assert any(name.endswith("nouns.tsv.gz") for name in names)
    assert not [name for name in names if name.startswith("tests/")]


def test_a_run_imports_nothing_from_the_working_folder(installed: Path, tmp_path: Path) -> None:
    for name in ("plugins", "leaderboard", "reproductions", "harness_plugins", "torch"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text(RAISING)
    for name in ("harness", "numpy", "click"):
        (tmp_path / f"{name}.py").write_text(RAISING)
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    environment["HARNESS_HOME"] = str(tmp_path / "home")
    for arguments in (
        ["run", "--plugin", "baseline", "--data", "synthweb:tiny", "--stage", "epochs=1"],
        ["leaderboard", "--data", "synthweb:tiny"],
        ["plugins", "show", "malong_curriculum"],
        ["reproduce", "malong/table1", "--no-run", "--data", "synthweb:tiny"],
    ):
        done = subprocess.run(
            [installed, *arguments],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            timeout=240,
            check=False,
        )
        assert done.returncode == 0, done.stderr
    assert len(list((tmp_path / "home" / "records").glob("*.json"))) == 1
