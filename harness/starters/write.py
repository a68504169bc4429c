"""Writing a package with a plugin to begin with."""

from __future__ import annotations

import keyword
import re
import sys
from collections.abc import Callable
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Literal, TypeAlias, get_args

from harness.errors import HarnessError
from harness.store.files import atomic_write, write_text
from harness.terminal import visible

Kind: TypeAlias = Literal["method", "loss", "data", "network", "observer"]
KINDS: tuple[Kind, ...] = get_args(Kind)
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9]*(?:[_-][A-Za-z0-9]+)*")
MOST_CHARACTERS = 60
SHADES = {"blue sky": (60, 120, 200), "green leaf": (60, 160, 60), "red brick": (180, 60, 40)}
PICTURES = {"train": 8, "val": 2, "test": 3}  # of each class

PROJECT = """\
[build-system]
requires = ["setuptools>=64"]
build-backend = "setuptools.build_meta"

[project]
name = "{name}"
version = "0.1.0"
description = "{summary}"
requires-python = ">=3.10"
dependencies = ["webvision-harness"]

[project.optional-dependencies]
test = ["pytest>=7"]

# harness looks here: the plugin's name, and where its class is.
[project.entry-points."harness.plugins"]
{name} = "{module}:{kind}"

[tool.setuptools]
py-modules = ["{module}"]
"""

README = """\
# {name}

{summary}

```sh
pip install -e '.[test]'
{command}
harness leaderboard
pytest
```

Without installing it: `harness --plugins-dir . ...` in this folder.
"""

TEST = '''\
"""The contract of plugins: one test for each part of it."""

from __future__ import annotations

{imports}import pytest

from harness.conformance import PluginCheck, plugin_checks
{more}
CHECKS = plugin_checks("{name}"{given})


@pytest.mark.parametrize("check", CHECKS, ids=str)
def test_it_keeps_the_contract(check: PluginCheck) -> None:
    check()
'''

WORKFLOW = """\
name: test
on: [push, pull_request]
jobs:
  test:
    runs-on: ubuntu-latest
    steps:
      - uses: actions/checkout@v4
      - uses: actions/setup-python@v5
        with:
          python-version: "3.11"
      # If your package index has no webvision-harness, install it here, from a clone or by git+URL.
      - run: pip install -e '.[test]'
      - run: pytest
"""

COMMANDS: dict[Kind, str] = {
    "method": "harness run --plugin {name} --data synthweb:tiny",
    "loss": "harness run --plugin baseline --with {name} --data synthweb:tiny",
    "data": "harness run --plugin baseline --data {name}:tests/pictures",
    "network": "harness run --plugin baseline --with {name} --stage backbone={name} "
    "--data synthweb:tiny",
    "observer": "harness run --plugin baseline --with {name} --data synthweb:tiny",
}


def check_name(name: str, taken: Callable[[str], bool]) -> None:
    """Raise HarnessError if a plugin cannot be called so; ``taken``: whether another one is."""
    if not _NAME.fullmatch(name) or len(name) > MOST_CHARACTERS:
        raise HarnessError(
            f"a plugin cannot be called {visible(name)!r}: use letters, digits and single _ or - "
            "between them, a letter first"
        )
    if taken(name):
        raise HarnessError(f"there is a plugin {name!r} already; choose another name")
    module = module_of(name)
    if keyword.iskeyword(module) or module in sys.stdlib_module_names or find_spec(module):
        raise HarnessError(
            f"a module {module!r} is part of Python or installed; choose another name, such as "
            f"my_{module}"
        )


def module_of(name: str) -> str:
    """Return the name of a plugin's module.

    >>> module_of("My-Idea")
    'my_idea'
    """
    return name.lower().replace("-", "_")


def write_package(name: str, kind: Kind, folder: Path) -> list[Path]:
    """Write a package that works into ``folder``; return the files, in the order to read them.

    Raises HarnessError if the folder is not empty or cannot be written.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise HarnessError(f"{visible(folder)} exists already; name another --folder")
    module, page = module_of(name), _page(kind)
    made = "".join(part[:1].upper() + part[1:] for part in re.split("[_-]", name))
    if re.search(rf"\b{made}\b", page):  # a name that the page uses, such as Stage
        made = f"{made}Plugin"
    summary = page.partition('"""')[2].partition('"""')[0].partition("\n")[0]
    words = {"name": name, "module": module, "kind": made, "summary": _renamed(summary, name, made)}
    files = {
        f"{module}.py": _renamed(page, name, made),
        "pyproject.toml": PROJECT.format(**words),
        f"tests/test_{module}.py": _test(name, kind),
        ".github/workflows/test.yml": WORKFLOW,
        "README.md": README.format(command=COMMANDS[kind].format(name=name), **words),
    }
    for file, text in files.items():
        (folder / file).parent.mkdir(parents=True, exist_ok=True)
        write_text(folder / file, text)
    if kind == "data":
        _draw_pictures(folder / "tests" / "pictures")
    return [folder / file for file in files]


def _page(kind: Kind) -> str:
    return Path(__file__).with_name(f"{kind}.py").read_text(encoding="utf-8")


def _renamed(text: str, name: str, made: str) -> str:
    """Return a page with the names of the plugin and of its class in place of the starter's."""
    text = re.sub(r"  # noqa: .*", "", text)  # for this project's rules only
    return re.sub(r"\bstarter\b", name, re.sub(r"\bStarter\b", made, text))


def _test(name: str, kind: Kind) -> str:
    given, imports, more = "", "", ""
    if kind == "network":
        given = f', stage={{"backbone": "{name}"}}'
    if kind == "data":
        imports = "from pathlib import Path\n\n"
        more = (
            "from harness.spec import DataSpec\n\n"
            f'DATA = DataSpec(name="{name}", path=str(Path(__file__).parent / "pictures"))\n'
        )
        given = ", data=DATA"
    return TEST.format(name=name, given=given, imports=imports, more=more)


def _draw_pictures(folder: Path) -> None:
    """Draw a few plain pictures and their lists, so that the data set can be tried."""
    from PIL import Image

    for split, count in PICTURES.items():
        lines = []
        for label, shade in SHADES.items():
            for number in range(count):
                file = f"{split}-{label.partition(' ')[0]}-{number}.png"
                colour = tuple(part + 7 * number for part in shade)
                picture = Image.new("RGB", (48, 40), colour)
                folder.mkdir(parents=True, exist_ok=True)
                atomic_write(folder / file, partial(picture.save, format="PNG"))
                lines.append(f"{file} {label}\n")
        write_text(folder / f"{split}.txt", "".join(lines))
