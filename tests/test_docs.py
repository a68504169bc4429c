"""The documentation is held to the code: commands parse, examples run, links lead somewhere."""

from __future__ import annotations

import ast
import dataclasses
import importlib
import json
import os
import pkgutil
import re
import shlex
import signal
import subprocess
import sys
from pathlib import Path

import click
import numpy as np
import pytest
from PIL import Image

from harness import samplers, tricks
from harness.assembly.descriptions import describe
from harness.assembly.discovery import find_plugins, load_plugin
from harness.assembly.recipe import OVERRIDABLE
from harness.assembly.stage_values import LARGEST
from harness.cli import cli
from harness.cli.options import run_spec
from harness.conformance import check_plugin, plugin_checks
from harness.data.synthweb import PRESETS
from harness.data.synthweb.profiles import PROFILES
from harness.data.webvision.lists.editions import EDITIONS
from harness.data.webvision.selection import OPTIONS
from harness.errors import HarnessError
from harness.hookspecs import HOOKS
from harness.knobs import parse_knobs
from harness.planning.plan import plan_run
from harness.runner import run
from harness.spec import DataSpec, Override, RunSpec
from harness.store.record import NoiseQuality, ResultRecord
from harness.store.record_files import read_record
from harness.values import Stage

ROOT = Path(__file__).parent.parent
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")])
TINY = ("--engine", "torch", "--stage", "epochs=1", "--stage", "batch_size=8")


def blocks(page: Path, *languages: str) -> list[str]:
    """Return the fenced blocks of a page that are in one of the languages."""
    fenced = re.findall(r"^```(\w*)\n(.*?)^```$", page.read_text(), re.MULTILINE | re.DOTALL)
    return [text for language, text in fenced if language in languages]


def commands(page: Path) -> list[str]:
    """Return the command lines of a page, continued ones joined, without a prompt."""
    text = "".join(blocks(page, "sh", "console")).replace("\\\n", " ")
    return [line.removeprefix("$ ") for line in text.splitlines()]


HARNESS_COMMANDS = [
    (page.name, line) for page in PAGES for line in commands(page) if line.startswith("harness")
]


def parsed(line: str) -> click.Context:
    """Let click read a command line, down to the innermost command; nothing is run."""
    words = shlex.split(line, comments=True)
    context = cli.make_context(words[0], words[1:])
    command: click.Command = cli
    while isinstance(command, click.Group):
        words = words[len(words) - len(context.args) - 1 :]
        inner = command.get_command(context, words[0])
        if inner is None:  # a group on its own, as "harness plugins"
            assert words[0] == context.info_name or words[0].startswith("-"), line
            break
        command, context = inner, inner.make_context(words[0], words[1:], parent=context)
    return context


def install(folder: Path, pyproject: str, files: dict[str, str]) -> None:
    """Put a distribution into ``folder`` as pip would, for whoever has it on ``sys.path``."""
    named = dict(re.findall(r'^(name|version) = "(.+)"', pyproject, re.MULTILINE))
    name, version = named["name"], named["version"]
    about = folder / f"{name.replace('-', '_')}-{version}.dist-info"
    about.mkdir(parents=True)
    (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    entries = pyproject.partition('entry-points."harness.plugins"]\n')[2].replace('"', "")
    (about / "entry_points.txt").write_text(f"[harness.plugins]\n{entries}")
    for file, text in files.items():
        (folder / file).parent.mkdir(exist_ok=True)
        (folder / file).write_text(text)


def examples(page: Path) -> dict[str, str]:
    """Return the Python files of a page by the name in their first line."""
    found = {}
    for text in blocks(page, "python"):
        first = text.partition("\n")[0]
        assert first.startswith("# "), f"{page.name}: an example's first line names its file"
        found[first.removeprefix("# ")] = text
    return found


ALONE = {"OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}


@pytest.fixture
def harness(fork, tiny_home, tmp_path):
    """Run the command line in the test's folder with the distributions in ``site`` installed."""

    def run_there(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = ("-m", "harness", "--home", str(tiny_home), *arguments)
        path = f"{tmp_path / 'site'}{os.pathsep}{ROOT}"
        with fork(*command, cwd=tmp_path, PYTHONPATH=path, **ALONE) as process:
            out, err = process.communicate()
        return subprocess.CompletedProcess(command, process.wait(), out, err)

    return run_there


@pytest.fixture
def tutorial(tiny_home, tmp_path, monkeypatch):
    """The plugins of the tutorial and of the README, installed for this process."""
    page = ROOT / "docs" / "write-a-plugin.md"
    (pyproject,) = blocks(page, "toml")
    files = examples(page) | examples(ROOT / "README.md")
    install(tmp_path, pyproject + 'first_results = "first_results:FirstResults"\n', files)
    monkeypatch.syspath_prepend(tmp_path)
    importlib.invalidate_caches()
    yield tmp_path
    for file in files:
        sys.modules.pop(file.removesuffix(".py"), None)


def test_every_command_line_parses(tmp_path, monkeypatch, tutorial):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "deepspeed.json").write_text('{"wall_clock_breakdown": false}')
    wrong = []
    for page, line in HARNESS_COMMANDS:
        try:
            check_command(page, line, tmp_path)
        except (AssertionError, click.ClickException, HarnessError) as error:
            wrong.append(f"{page}: {line}: {error}")
    assert wrong == []


def check_command(page: str, line: str, home: Path) -> None:
    context = parsed(line)
    if context.info_name not in ("run", "plan"):
        return
    spec = run_spec(home, context.params)
    if page == "hooks.md":
        return  # its plugins are run below
    entries = find_plugins()
    assert {spec.plugin, *spec.extra} <= set(entries)
    for name in (spec.plugin, *spec.extra):
        own = {
            key.removeprefix(f"{name}."): text
            for key, text in spec.knobs.items()
            if key.startswith(f"{name}.") or (name == spec.plugin and "." not in key)
        }
        if own:
            parse_knobs(name, load_plugin(entries[name]), own)
    assert {override.field for override in spec.overrides} <= set(OVERRIDABLE)


def test_there_are_commands_to_check():
    pages = [page for page, _ in HARNESS_COMMANDS]
    assert len(pages) > 30
    assert {"README.md", "data.md", "results.md", "training.md", "write-a-plugin.md"} <= set(pages)


def test_the_make_targets_exist():
    targets = set(re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    asked = [
        words[1]
        for page in PAGES
        for words in map(str.split, commands(page))
        if words[:1] == ["make"]
    ]
    assert {"demo", "test", "test-fast", "lint"} <= set(asked) <= targets


def test_every_link_leads_somewhere():
    wrong = []
    for page in PAGES:
        for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text()):
            file, _, anchor = target.partition("#")
            found = (page.parent / file).resolve() if file else page
            if target.startswith("https://"):
                continue
            if not found.exists() or (anchor and anchor not in anchors(found)):
                wrong.append(f"{page.name}: {target}")
    assert wrong == []


def anchors(page: Path) -> set[str]:
    """Return the anchors of a page's headings, as forges make them."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_every_python_block_is_python():
    found = [(page.name, text) for page in PAGES for text in blocks(page, "python")]
    assert {"README.md", "hooks.md", "python.md", "write-a-plugin.md"} <= {
        name for name, _ in found
    }
    wrong = []
    for name, text in found:
        try:
            ast.parse(text)
        except SyntaxError as error:
            wrong.append(f"{name}: {error}")
    assert wrong == []


def test_the_readme_is_short():
    text = (ROOT / "README.md").read_text()
    assert text.count("<!-- first run -->") == text.count("<!-- /first run -->") == 1
    own_words = re.sub(r"<!-- first run -->.*<!-- /first run -->", "", text, flags=re.DOTALL)
    assert own_words.count("\n") <= 150


def test_the_tables_name_what_there_is():
    data, results, training = (
        (ROOT / "docs" / f"{name}.md").read_text() for name in ("data", "results", "training")
    )
    for name, preset in PRESETS.items():
        sizes = (preset.groups * preset.per_group, preset.train, preset.val, preset.test)
        profile = PROFILES[name]
        cells = map(str, (name, *sizes, profile.backbone, profile.input_size))
        assert f"| {' | '.join(cells)} |" in data
    for edition in EDITIONS.values():
        classes = len(edition.kept) if edition.kept else edition.num_classes
        assert f"| `{edition.name}` | {classes:,} | {', '.join(edition.source_names)} |" in data
    assert all(f"| `{option}=" in data for option in OPTIONS)
    named = [name for name, kind in vars(samplers).items() if hasattr(kind, "prepare")]
    assert all(f"| `{name}()` |" in training for name in named if name != "Sampler")
    assert len(named) == 7
    for model in (ResultRecord, NoiseQuality):
        missing = [field for field in model.model_fields if f"`{field}`" not in results]
        assert missing in ([], ["stage"])


def test_the_tables_of_a_stage_have_every_field_with_its_type_default_and_limit():
    page = (ROOT / "docs" / "training.md").read_text()
    heads = [cells for cells in table_rows(page) if cells[:3] == ["field", "type", "default"]]
    assert len(heads) == 2
    rows = {cells[0].strip("`"): cells for cells in table_rows(page) if len(cells) == len(heads[0])}
    rows.pop("field")
    expected = {}
    for field in dataclasses.fields(Stage):
        default = repr(field.default)
        if field.default_factory is not dataclasses.MISSING:
            default = f"{field.default_factory.__name__}()"
        default = "none" if field.default is field.default_factory else f"`{default}`"
        expected[field.name] = [f"`{field.type}`".replace("'", '"'), default.replace("'", '"')]
    assert {name: cells[1:3] for name, cells in rows.items()} == expected
    assert tuple(rows)[: len(OVERRIDABLE)] == OVERRIDABLE
    for name, largest in LARGEST.items():
        assert f"above {int(largest):,}" in rows[name][4], name
    assert all(cells[3] for cells in rows.values())


def test_the_page_of_methods_lists_every_part_where_it_can_be_imported_from():
    page = (ROOT / "docs" / "methods.md").read_text()
    listed = [cell.strip("`") for cell, *_ in table_rows(page) if cell.startswith("`harness.")]
    parts = []
    for found in pkgutil.walk_packages(tricks.__path__, "harness.tricks."):
        module = importlib.import_module(found.name)
        parts += [
            f"{found.name}.{name}"
            for name, kind in vars(module).items()
            if dataclasses.is_dataclass(kind)
            and kind.__module__ == found.name
            and "__call__" in vars(kind)
            and not name.startswith("_")
        ]
    assert sorted(listed) == sorted(parts)
    assert all(len(cells) == 2 for cells in table_rows(page) if cells[0].startswith("`harness."))


def table_rows(text: str) -> list[list[str]]:
    """Return the cells of every row of a page's tables."""
    lines = [line for line in text.splitlines() if line.startswith("| ")]
    cells = [re.split(r"(?<!\\)\|", line)[1:-1] for line in lines]
    return [[cell.strip().replace("\\|", "|") for cell in row] for row in cells]


@pytest.mark.slow
def test_every_hook_example_takes_part_in_a_run(harness, tmp_path):
    page = ROOT / "docs" / "hooks.md"
    (pyproject,) = blocks(page, "toml")
    files = examples(page)
    assert len(files) == len(HOOKS) + 1  # and what a trick keeps
    install(tmp_path / "site", pyproject, files | {"hook_examples/__init__.py": ""})
    draw_folders(tmp_path / "pictures")
    (line,) = (line for line in commands(page) if "--plugin two_sizes" in line)
    asked = shlex.split(line)[1:]

    ended = harness(*asked, *TINY, "--stage", "input_size=32")

    assert ended.returncode == 0, ended.stderr
    (path,) = (tmp_path / "home" / "records").glob("*.json")
    record = read_record(path)
    small, large = record.stages
    assert record.data.edition == "folders pictures"
    assert (small.name, large.name) == ("small", "large")
    assert [plugin.name for plugin in record.plugins if plugin.name == "timm"] == []
    assert large.tricks == {
        "noise": ("WeighByLikelihood(sees=Stage('small'))",),
        "epoch": ("KeepLikely(share=0.1)",),
        "model": ("UseSilu()",),
        "picture": ("SometimesGrey(probability=0.2)",),
        "batch": ("MixPairs(share=0.5)",),
        "loss": ("Focal(gamma=2.0)", "Remember(momentum=0.7, strength=3.0)"),
    }
    assert {score.protocol for score in record.scores} == {"1 view", "2 views"}
    for words in (
        "announce: two_sizes",
        "has 2 epochs",
        "resumed: 100% of small is left",
        "ranges: large",
        "speed: large",
    ):
        assert words in ended.stderr
    assert len((tmp_path / "losses.csv").read_text().splitlines()) == 2 * 16 / 8
    assert json.loads((tmp_path / "diary.jsonl").read_text())["run"] == record.id


@pytest.fixture
def hook_examples(tmp_path, monkeypatch):
    """The plugins of docs/hooks.md, installed for this process, and pictures for one of them."""
    page = ROOT / "docs" / "hooks.md"
    install(tmp_path, blocks(page, "toml")[0], examples(page) | {"hook_examples/__init__.py": ""})
    draw_folders(tmp_path / "pictures")
    monkeypatch.syspath_prepend(tmp_path)
    importlib.invalidate_caches()
    yield DataSpec(name="folders", path=str(tmp_path / "pictures"))
    for name in [name for name in sys.modules if name.startswith("hook_examples")]:
        del sys.modules[name]


def test_the_profile_of_a_hook_example_is_shown(hook_examples, tmp_path):
    spec = RunSpec(plugin="two_sizes", data=hook_examples, extra=("quick",), home=tmp_path)

    small, large = plan_run(spec)["stages"]

    epochs = {"name": "epochs", "value": "2", "origin": "profile of quick"}
    assert epochs in small["values"]
    assert epochs in large["values"]


@pytest.mark.slow
def test_the_hook_examples_keep_the_contract(hook_examples, tiny_home):
    names = [
        entry.name for entry in find_plugins().values() if entry.distribution == "hook-examples"
    ]
    assert len(names) == len(HOOKS) + 1
    for name in names:
        data = hook_examples if name == "folders" else None
        assert check_plugin(name, data=data, home=tiny_home) == []


def draw_folders(root: Path) -> None:
    """Two classes of plain pictures: 8 each to train on, 2 each in val, no test."""
    for split, count in (("train", 8), ("val", 2)):
        for shade, name in enumerate(("dark", "light")):
            (root / split / name).mkdir(parents=True)
            for number in range(count):
                pixels = np.full((40, 48, 3), 60 + 120 * shade + number, np.uint8)
                Image.fromarray(pixels).save(root / split / name / f"{number}.jpg")


KILLED = """
import os
from dataclasses import dataclass
from harness import Ema, Plan, Stage, hookimpl

@dataclass(frozen=True)
class Dies:
    def __call__(self, samples):
        if os.environ.get("DIES"):
            os.kill(os.getpid(), 9)
        return samples

class Plugin:
    @hookimpl
    def plan(self):
        first = Stage(name="first", average=Ema(), epoch=(Dies(),))
        return Plan(stages=(first, Stage(name="second", sees=(first,), noise=(Look(first),))))

@dataclass(frozen=True)
class Look:
    sees: Stage

    def __call__(self, samples):
        samples.features(self.sees)
        return samples
"""


@pytest.mark.slow
def test_the_files_of_a_stage_are_those_that_the_page_lists(harness, tmp_path, monkeypatch):
    install(tmp_path / "site", KILLED_PROJECT, {"killed.py": KILLED})
    asked = ("run", "--plugin", "killed", "--data", "synthweb:tiny", "--engine", "torch")
    asked += ("--stage", "epochs=3", "--checkpoint-seconds", "0")
    monkeypatch.setenv("DIES", "1")
    killed = harness(*asked)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    unfinished = files_of_stages(tmp_path)
    monkeypatch.delenv("DIES")
    ended = harness(*asked)
    assert ended.returncode == 0, ended.stderr
    finished = files_of_stages(tmp_path)

    page = (ROOT / "docs" / "results.md").read_text()
    listed: dict[str, set[str]] = {}
    for cells in table_rows(page):
        if len(cells) == 4 and cells[3] in ("finished", "unfinished", "always"):
            names = re.findall(r"`([^`]+)`", cells[0] + cells[2])
            listed.setdefault(cells[3], set()).update(names)
    named = set().union(*listed.values())
    assert named - (unfinished | finished) == {"finishing"}  # there for a moment only
    at_work = listed["unfinished"] - {"finishing"}
    assert unfinished == at_work | listed["always"] | {"best.pt"}
    finished.add("best.pt")  # there unless the last epoch is the best
    assert finished == listed["finished"] | listed["always"]


def files_of_stages(folder: Path) -> set[str]:
    """Return the names in the folders of stages, steps and epochs as words."""
    paths = (folder / "home" / "stages").glob("*/*")
    names = {f"{path.name}/" if path.is_dir() else path.name for path in paths}
    names = {re.sub(r"checkpoint-\d+", "checkpoint-STEP", name) for name in names}
    return {re.sub(r"best-\d+", "best-EPOCH", name) for name in names}


KILLED_PROJECT = """
name = "killed"
version = "1.0"

[project.entry-points."harness.plugins"]
killed = "killed:Plugin"
"""


@pytest.mark.slow
def test_the_tutorial_runs(tutorial, tmp_path):
    data = DataSpec(name="synthweb", path="tiny")
    once = (Override("", "epochs", "1"),)

    record = run(
        RunSpec(plugin="mine", data=data, overrides=once, engine="torch", home=tmp_path / "home")
    )

    assert record.stages[0].tricks == {"noise": ("WeighByRank(half=20.0)",)}
    assert record.noise[0].kept == 1
    assert record.noise[0].auc > 0.5


@pytest.mark.slow
def test_the_python_of_readme_and_guide_runs(fork, tiny_home, tmp_path):
    scripts = examples(ROOT / "README.md") | examples(ROOT / "docs" / "python.md")
    assert {"in_a_notebook.py", "from_python.py", "one_formula.py"} <= set(scripts)
    printed = {}
    for name, text in scripts.items():
        (tmp_path / name).write_text(text)
        with fork(str(tmp_path / name), cwd=tmp_path, **ALONE) as process:
            printed[name], err = process.communicate()
        assert process.wait() == 0, f"{name}: {err}"
    assert "malong_curriculum model=B, seed 1" in printed["in_a_notebook.py"]
    assert "top1_percent" in printed["in_a_notebook.py"]
    assert "malong_curriculum model=B, seed 1" in printed["from_python.py"]
    assert "tensor" in printed["one_formula.py"]


def test_the_method_of_the_readme_is_planned(tutorial, tmp_path):
    spec = parsed("harness plan --plugin first_results --data synthweb:tiny --set count=3")

    (stage,) = plan_run(run_spec(tmp_path / "home", spec.params))["stages"]

    assert stage["tricks"] == {"noise": ["KeepFirst(count=3)"]}


@pytest.mark.slow
def test_the_plugins_of_tutorial_and_readme_keep_the_contract(tutorial):
    of_mine = importlib.import_module("test_mine").test_mine_keeps_the_contract
    for check in plugin_checks("mine"):
        of_mine(check)
    assert check_plugin("first_results") == []


def test_the_tables_of_the_tutorial_are_known_by_their_content(tutorial):
    tables = importlib.import_module("tables")
    found = []
    for number in (0.5, 2.0):
        np.save(tutorial / "table.npy", np.full(3, number))
        tricks = (tables.WeighByTable(table=tutorial / "table.npy"), tables.WeighByOurTable())
        found += [str(describe(trick)) for trick in tricks]
    assert len(set(found)) == len(found)
