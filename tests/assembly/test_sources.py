"""The sources behind a part: what it uses of its own counts, wherever that lies."""

from __future__ import annotations

import importlib
import sys
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from harness.assembly.sources import defines, module_file, sources_of
from harness.errors import PluginError
from harness.values import Stage

INITIAL = Stage(name="initial")

TRICK = """
{imports}
class Trick:
    def __call__(self, value):
        return value
"""


@pytest.fixture
def shelf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder on the path, free of what it brought after the test."""
    folder = tmp_path / "shelf"
    folder.mkdir()
    monkeypatch.syspath_prepend(folder)
    before = set(sys.modules)
    yield folder
    for name in set(sys.modules) - before:
        about = vars(sys.modules[name])
        if str(tmp_path) in f"{about.get('__file__')} {about.get('__path__')}":
            del sys.modules[name]


def put(folder: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    importlib.invalidate_caches()


def of(module: str) -> dict[str, str]:
    return sources_of(importlib.import_module(module).Trick())


def test_a_trick_that_no_file_defines_is_refused() -> None:
    made: dict[str, Any] = {"__name__": "builtins"}
    exec("class Made: pass", made)
    with pytest.raises(PluginError, match="Made must be defined in a file"):
        sources_of(made["Made"]())


def test_sources_of_ours_are_of_tricks_and_language_and_not_of_the_engine() -> None:
    from harness.tricks.noise.kmeans import KMeansSubsets
    from harness.tricks.noise.label_weights import LabelWeights

    found = set(sources_of(KMeansSubsets(sees=INITIAL)))
    names = ("clustering.clusters", "kmeans")
    assert {f"harness.tricks.noise.{name}" for name in names} <= found
    assert all(name.startswith("harness.tricks.noise") for name in found)
    found = set(sources_of(LabelWeights(encoder="lexical")))
    assert {"harness.language.masking", "harness.language.wordnet"} < found
    assert "harness.errors" not in found


@pytest.mark.parametrize(
    "imports",
    [
        "from far.deep.below import core",
        "import far.deep.below.core",
        "from ..below import core",
        "from ..below.core import CONSTANT",
        "import importlib; core = importlib.import_module('far.deep.below.core')",
        "from importlib import import_module; core = import_module('..below.core', 'far.deep.x')",
        "core = __import__('far.deep.below.core')",
        "def late():\n    from far.deep.below.core import CONSTANT",
        "from far.between import anything",
        "from far import *",
    ],
)
def test_what_is_elsewhere_in_the_same_package_counts(shelf: Path, imports: str) -> None:
    put(
        shelf,
        {
            "far/__init__.py": "from far import between" if "*" in imports else "",
            "far/between.py": "from .deep.below.core import CONSTANT\nanything = CONSTANT",
            "far/deep/below/core.py": "CONSTANT = 1",  # without __init__.py: namespaces
            "far/deep/tricks/trick.py": TRICK.format(imports=imports),
        },
    )
    found = of("far.deep.tricks.trick")
    assert {"far", "far.deep.below.core", "far.deep.tricks.trick"} <= set(found)


def test_the_packages_around_a_part_count_as_they_run_first(shelf: Path) -> None:
    put(
        shelf,
        {
            "around/__init__.py": "import around.settings",
            "around/settings.py": "SHARE = 1",
            "around/trick.py": TRICK.format(imports=""),
        },
    )
    assert set(of("around.trick")) == {"around", "around.settings", "around.trick"}


def test_a_base_class_of_another_package_counts(shelf: Path) -> None:
    put(
        shelf,
        {
            "based.py": "import bases\nclass Trick(bases.Base):\n    pass",
            "bases.py": "class Base:\n    pass",
        },
    )
    assert set(of("based")) == {"bases", "based"}


def test_code_that_is_not_installed_counts_and_libraries_do_not(shelf: Path) -> None:
    imports = "import sibling, json, numpy.linalg, torch, click, harness.errors, missing_one"
    imports = f"try:\n    {imports}\nexcept ImportError:\n    pass"
    put(shelf, {"lonely.py": TRICK.format(imports=imports), "sibling.py": "import further"})
    put(shelf, {"further.py": "A = 1"})
    assert set(of("lonely")) == {"lonely", "sibling", "further"}


def test_of_what_is_installed_the_same_distributions_packages_count(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, install: Callable[..., Path]
) -> None:
    from harness.assembly import sources

    site = tmp_path / "site-packages"
    put(
        site,
        {
            "mine_main/trick.py": TRICK.format(imports="import mine_core, stranger"),
            "mine_core.py": "A = 1",
            "stranger.py": "A = 1",
            "mine-1.0.dist-info/METADATA": "Metadata-Version: 2.1\nName: mine\nVersion: 1.0\n",
            "mine-1.0.dist-info/entry_points.txt": "[harness.plugins]\nm = mine_main.trick:Trick",
            "mine-1.0.dist-info/RECORD": "mine_main/trick.py,,\nmine_core.py,,\n",
        },
    )
    monkeypatch.syspath_prepend(site)
    sources._installed_together.cache_clear()
    assert set(of("mine_main.trick")) == {"mine_main.trick", "mine_core"}
    sources._installed_together.cache_clear()


def test_a_changed_module_far_away_is_seen(shelf: Path) -> None:
    found = []
    for number in (1, 1, 2):
        name = f"tower_{len(found)}"
        put(
            shelf,
            {
                f"{name}/base.py": f"A = {number}",
                f"{name}/in/t.py": TRICK.format(imports="from ..base import A"),
            },
        )
        found.append(of(f"{name}.in.t")[f"{name}.base"])
    assert found[0] == found[1] != found[2]


def test_a_compiled_module_counts_by_its_bytes(shelf: Path) -> None:
    import py_compile

    put(
        shelf,
        {"pack/hidden.py": "A = 1", "pack/trick.py": TRICK.format(imports="import pack.hidden")},
    )
    source = shelf / "pack" / "hidden.py"
    py_compile.compile(str(source), cfile=str(source.with_suffix(".pyc")))
    source.unlink()
    assert set(of("pack.trick")) == {"pack.hidden", "pack.trick"}


def test_what_cannot_be_parsed_counts_by_its_bytes(shelf: Path) -> None:
    imports = "try:\n    import odd.old\nexcept SyntaxError:\n    pass"
    put(shelf, {"odd/old.py": "print 'python 2'", "odd/trick.py": TRICK.format(imports=imports)})
    assert set(of("odd.trick")) == {"odd.old", "odd.trick"}


def test_a_part_inside_an_archive_is_refused_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with zipfile.ZipFile(tmp_path / "zipped.zip", "w") as archive:
        archive.writestr("zipped_trick.py", TRICK.format(imports=""))
    monkeypatch.syspath_prepend(tmp_path / "zipped.zip")
    with pytest.raises(PluginError, match=r"zipped_trick\.py cannot be read"):
        of("zipped_trick")
    del sys.modules["zipped_trick"]


def test_nothing_is_imported_for_looking(shelf: Path) -> None:
    imports = "def late():\n    import quiet.never"
    put(
        shelf,
        {
            "quiet/never.py": "raise RuntimeError",
            "quiet/trick.py": TRICK.format(imports=imports),
            "aside/__init__.py": "raise RuntimeError",
            "aside/part.py": "",
        },
    )
    assert set(of("quiet.trick")) == {"quiet.never", "quiet.trick"}
    assert module_file("aside.part") == shelf / "aside" / "part.py"
    assert "quiet.never" not in sys.modules


def test_a_class_is_defined_by_a_statement_at_the_top_level(shelf: Path) -> None:
    text = """
    class Top:
        class Inside: pass
    if True:
        class Branch: pass
    def make():
        class Local: pass
        return Local
    Made = type("Made", (), {})
    """
    put(shelf, {"kinds.py": "\n".join(line[4:] for line in text.splitlines())})
    kinds = importlib.import_module("kinds")
    assert all(map(defines, (kinds.Top, kinds.Top.Inside, kinds.Branch)))
    assert not any(map(defines, (kinds.make(), kinds.Made, int)))
