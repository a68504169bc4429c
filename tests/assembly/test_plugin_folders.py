"""Plugins in folders that are not installed, found without being imported."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from harness.assembly.discovery import broken_plugins, find_plugins, load_plugin, source_file
from harness.assembly.sources import sources_of
from harness.errors import HarnessError, PluginError

HOOKED = """
import {module}_part
from harness import hookimpl
open(__file__ + ".imported", "w").close()
class {name}:
    '''A plugin.'''
    @hookimpl
    def noise_tricks(self):
        return []
"""
PROJECT = """
[project]
name = "their-project"
version = "1.2"
[project.entry-points."harness.plugins"]
theirs = "theirs_module:Theirs"
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder of plugins, named by the variable; what is imported from it is forgotten."""
    place = tmp_path / "plugins"
    place.mkdir()
    monkeypatch.setenv("HARNESS_PLUGINS_DIR", str(place))
    monkeypatch.setattr(sys, "path", [*sys.path])
    yield place
    for name, module in list(sys.modules.items()):
        if str(getattr(module, "__file__", "")).startswith(str(place)):
            del sys.modules[name]


def write(folder: Path, module: str, name: str) -> Path:
    (folder / f"{module}_part.py").write_text("")
    path = folder / f"{module}.py"
    path.write_text(HOOKED.format(module=module, name=name))
    return path


def test_single_files_and_projects_are_found_without_importing_them(folder: Path) -> None:
    path = write(folder, "one_file", "OneFile")
    for project in ("flat", "nested/src"):
        place = folder / project
        place.mkdir(parents=True)
        text = PROJECT if project == "flat" else PROJECT.replace("theirs", "others")
        (folder / project.partition("/")[0] / "pyproject.toml").write_text(text)
        module = "theirs_module" if project == "flat" else "others_module"
        write(place, module, "Theirs")
    (folder / "test_one_file.py").write_text("raise RuntimeError")
    (folder / "notes.txt").write_text("")
    found = {name: entry for name, entry in find_plugins().items() if entry.folder}
    assert {name: (e.value, e.distribution, e.version) for name, e in found.items()} == {
        "one_file": ("one_file:OneFile", "one_file.py", "0"),
        "theirs": ("theirs_module:Theirs", "their-project", "1.2"),
        "others": ("others_module:Theirs", "their-project", "1.2"),
    }
    assert not Path(f"{path}.imported").exists()
    assert load_plugin(found["one_file"]).__doc__ == "A plugin."
    assert source_file(found["one_file"]) == path
    assert set(sources_of(load_plugin(found["others"]))) == {"others_module", "others_module_part"}


def test_the_folder_may_be_a_project_itself(folder: Path) -> None:
    (folder / "pyproject.toml").write_text(PROJECT)
    write(folder, "theirs_module", "Theirs")
    assert find_plugins()["theirs"].folder == str(folder)


def test_a_module_with_hooks_of_its_own_is_a_plugin_and_of_several_classes_each(
    folder: Path,
) -> None:
    (folder / "as_module.py").write_text(
        "from harness import hookimpl\n@hookimpl\ndef batch_tricks():\n    return []\n"
    )
    write(folder, "several", "First")
    with (folder / "several.py").open("a") as file:
        file.write("class Second:\n    @hookimpl\n    def batch_tricks(self): return []\n")
    found = {name: entry.value for name, entry in find_plugins().items() if entry.folder}
    assert found == {
        "as_module": "as_module",
        "First": "several:First",
        "Second": "several:Second",
    }


def test_broken_files_are_said_to_be_broken(folder: Path, tmp_path: Path) -> None:
    (folder / "cut.py").write_text("class Plugin(:")
    reasons = broken_plugins(find_plugins().values(), tmp_path / "memory")
    assert reasons.keys() == {"cut"}
    assert reasons["cut"].startswith("SyntaxError")


def test_a_folders_plugin_hides_an_installed_one_of_its_name(
    folder: Path, install: Callable[..., Path]
) -> None:
    write(folder, "baseline", "Mine")
    entry = find_plugins()["baseline"]
    assert (entry.folder, entry.shadows) == (str(folder), ("webvision-harness",))


def test_a_module_that_is_hidden_by_another_is_said_to_be(folder: Path) -> None:
    (folder / "json.py").write_text(HOOKED.format(module="json", name="Json"))
    with pytest.raises(PluginError, match=r"the module 'json' of .* is hidden by .*give the mod"):
        load_plugin(find_plugins()["json"])


@pytest.mark.parametrize("content", ["[project", "project = 1", "\xff\xfe"])
def test_a_project_that_cannot_be_read_is_one_line(folder: Path, content: str) -> None:
    (folder / "pyproject.toml").write_text(content, encoding="latin-1")
    with pytest.raises(HarnessError, match=r"pyproject.toml cannot be read: [^\n]*"):
        find_plugins()
