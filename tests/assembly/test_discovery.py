"""Finding plugins by entry point: real distributions, good and broken, on a real path."""

from __future__ import annotations

import shutil
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from harness.assembly.discovery import (
    Entry,
    broken_plugins,
    find_entry,
    find_plugins,
    load_plugin,
    source_file,
)
from harness.errors import HarnessError, PluginError

Install = Callable[..., Path]
GOOD = """
from pathlib import Path
with Path(__file__).with_suffix(".imported").open("a") as file:
    file.write("once\\n")
print("5")
print("[1, 2]")
class Plugin:
    class Inner:
        pass
"""
BROKEN = {
    "raises": ("raise RuntimeError('two\\nlines')", "RuntimeError: two lines"),
    "misspelt": ("class Plugin(:", "SyntaxError: "),
    "dies": ("import os; os._exit(3)", "importing it ended Python with status 3"),
    "leaves": ("import sys; sys.exit(4)", "SystemExit: 4"),
    "needs": ("import no_such_module_at_all", "ModuleNotFoundError: No module named 'no_such"),
    "lacks": ("print('null')", "AttributeError: module 'lacks' has no attribute 'Plugin'"),
    "aborts": ("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", "with status -9"),
}


def test_our_own_are_found_sorted_with_distribution_and_version() -> None:
    found = find_plugins()
    assert list(found) == sorted(found)
    assert {"baseline", "malong_curriculum", "synthweb", "console"} <= set(found)
    assert found["baseline"].distribution == "webvision-harness"
    assert found["baseline"].version[0].isdigit()


def test_listing_imports_nothing(install: Install) -> None:
    install("lonely", "raise RuntimeError")
    assert find_plugins()["lonely"] == Entry("lonely", "lonely:Plugin", "lonely", "1.0")
    assert "lonely" not in sys.modules


def test_what_is_installed_or_removed_meanwhile_is_noticed(install: Install) -> None:
    shelf = install("early").parent
    assert "early" in find_plugins()
    for change, expected in (
        (lambda: install("late"), {"early", "late"}),
        (lambda: shutil.rmtree(shelf / "early-1.0.dist-info"), {"late"}),
    ):
        time.sleep(0.02)  # a folder's time is exact to a tick of the clock
        change()
        assert {"early", "late"} & set(find_plugins()) == expected


def test_broken_plugins_are_named_with_their_reason_and_stop_no_other(
    install: Install, tmp_path: Path
) -> None:
    module = install("good", GOOD)
    for name, (source, _) in BROKEN.items():
        install(name, source)
    entries = find_plugins()
    reasons = broken_plugins(entries.values(), tmp_path / "memory")
    assert reasons.keys() == BROKEN.keys()
    for name, (_, words) in BROKEN.items():
        assert words in reasons[name]
        assert "\n" not in reasons[name]
    assert not {"good", *BROKEN} & set(sys.modules)

    again = broken_plugins(entries.values(), tmp_path / "memory")
    assert again == reasons
    assert module.with_suffix(".imported").read_text() == "once\n"


def test_a_mended_plugin_is_believed_and_a_changed_one_tried_anew(
    install: Install, tmp_path: Path
) -> None:
    module = install("fixed", "from part_of_it import Plugin")
    entries = [find_plugins()["fixed"]]
    assert "part_of_it" in broken_plugins(entries, tmp_path)["fixed"]
    module.with_name("part_of_it.py").write_text("class Plugin: pass")
    assert broken_plugins(entries, tmp_path) == {}
    # Of another size: Python takes a file of the same size and second for the one it compiled.
    module.write_text("raise RuntimeError('it was changed')")
    assert broken_plugins(entries, tmp_path) == {"fixed": "RuntimeError: it was changed"}


@pytest.mark.parametrize("memory", ["[]", "{", "\xff", '{"a": 1}'])
def test_a_damaged_memory_is_forgotten(install: Install, tmp_path: Path, memory: str) -> None:
    install("raising", "raise RuntimeError('why')")
    (tmp_path / "plugins.json").write_text(memory, encoding="latin-1")
    entries = [find_plugins()["raising"]]
    assert broken_plugins(entries, tmp_path) == {"raising": "RuntimeError: why"}


def test_an_edited_memory_makes_no_broken_plugin_work(install: Install, tmp_path: Path) -> None:
    install("raising", "raise RuntimeError('why')")
    entries = [find_plugins()["raising"]]
    broken_plugins(entries, tmp_path)
    memory = tmp_path / "plugins.json"
    memory.write_text(memory.read_text().replace('"RuntimeError: why"', "null"))
    assert "null" in memory.read_text()
    assert broken_plugins(entries, tmp_path) == {"raising": "RuntimeError: why"}


def test_a_home_that_cannot_be_written_does_not_matter(install: Install, tmp_path: Path) -> None:
    install("fine", "class Plugin: pass")
    (tmp_path / "file").touch()
    assert broken_plugins([find_plugins()["fine"]], tmp_path / "file" / "home") == {}


def test_of_one_name_ours_wins_and_the_others_are_told(install: Install) -> None:
    for name in ("aaa", "zzz"):
        install(name, "raise RuntimeError", points=f"baseline = {name}:Plugin")
    entry = find_plugins()["baseline"]
    assert entry.distribution == "webvision-harness"
    assert sorted(entry.shadows) == ["aaa", "zzz"]


def test_half_removed_distributions_are_survived(install: Install) -> None:
    install("left_over", "class Plugin: pass", metadata=False)
    entry = find_plugins()["left_over"]
    assert (entry.distribution, entry.version) == ("unknown", "?")
    assert load_plugin(entry).__name__ == "Plugin"


def test_an_entry_point_may_name_a_module_an_inner_class_and_extras(install: Install) -> None:
    points = "whole = inners\ninner = inners : Plugin.Inner [extra]"
    install("inners", GOOD, points=points)
    found = find_plugins()
    assert load_plugin(found["whole"]).__name__ == "inners"
    assert load_plugin(found["inner"]).__name__ == "Inner"
    assert source_file(found["inner"]) == source_file(found["whole"])


@pytest.mark.parametrize("name", ["raises", "misspelt", "leaves", "needs", "lacks"])
def test_loading_says_who_is_broken_and_why(install: Install, name: str) -> None:
    source, words = BROKEN[name]
    install(name, source)
    with pytest.raises(PluginError) as caught:
        load_plugin(find_plugins()[name])
    line = str(caught.value)
    assert line.startswith(f"plugin {name!r} of {name} 1.0 cannot be imported: {words}")
    assert "\n" not in line


def test_an_unknown_name_suggests_the_nearest() -> None:
    with pytest.raises(HarnessError, match="unknown plugin 'basline'; did you mean 'baseline'"):
        find_entry("basline", find_plugins())


def test_the_source_of_a_packages_module_is_found_without_importing_the_package(
    install: Install,
) -> None:
    shelf = install("single", "raise RuntimeError").parent
    package = shelf / "deadly"
    package.mkdir()
    (package / "__init__.py").write_text("import os; os._exit(3)")
    (package / "plugin.py").touch()
    entry = Entry("deadly", "deadly.plugin:Plugin", "deadly", "1.0")
    assert source_file(entry) == package / "plugin.py"
    assert source_file(entry._replace(value="single:Plugin")) == shelf / "single.py"
    assert source_file(entry._replace(value="nowhere.at.all:Plugin")) is None
    assert source_file(entry._replace(value="deadly.missing:Plugin")) is None
    assert source_file(entry._replace(value="sys:path")) is None


def test_the_source_of_every_installed_plugin_is_found() -> None:
    found = {name: source_file(entry) for name, entry in find_plugins().items()}
    assert found
    assert [name for name, file in found.items() if file is None or file.suffix != ".py"] == []
