"""Plugins in folders that are not installed: for their authors.

``HARNESS_PLUGINS_DIR`` names such folders, separated as in PATH. Each holds distributions (folders
with a ``pyproject.toml``), or is one itself, or holds single files: ``NAME.py`` is the plugin NAME.
Nothing is imported to find them.
"""

from __future__ import annotations

import ast
import os
import sys
from collections.abc import Iterator
from importlib.machinery import PathFinder
from pathlib import Path
from typing import Any, NamedTuple

from harness.assembly.sources import GROUP
from harness.errors import HarnessError, PluginError
from harness.hookspecs import HOOKS
from harness.store.reading import read_plain

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

VARIABLE = "HARNESS_PLUGINS_DIR"
PROJECT = "pyproject.toml"
MOST_BYTES = 1 << 20
_SKIPPED = ("test_", "conftest", "setup", "_")  # how files begin that hold no plugin


class FolderPlugin(NamedTuple):
    """A plugin that is not installed: its name, ``module:attribute`` and where its module lies."""

    name: str
    value: str
    distribution: str
    version: str
    folder: str


def folder_plugins() -> list[FolderPlugin]:
    """Return the plugins of the folders named, whose modules can be imported from now on.

    Raises HarnessError if a folder is not there, or a file in it cannot be read.
    """
    found = []
    for text in filter(None, os.environ.get(VARIABLE, "").split(os.pathsep)):
        folder = Path(text).expanduser().absolute()
        if not folder.is_dir():
            raise HarnessError(
                f"{VARIABLE} (or --plugins-dir) names {folder}, which is not a folder; name one "
                f"that holds NAME.py, or a folder with a {PROJECT}"
            )
        found += list(_plugins_in(folder))
    for plugin in found:
        _show(plugin.folder)
    return found


def _show(folder: str) -> None:
    if folder not in sys.path:
        sys.path.append(folder)  # last: a file there hides no library


def check_importable(value: str, folder: str) -> None:
    """Let modules of ``folder`` be imported; PluginError if that of ``value`` is found elsewhere.

    ``value`` is ``module:attribute``.
    """
    _show(folder)
    top = value.partition(":")[0].strip().partition(".")[0]
    spec = PathFinder.find_spec(top)
    places = [*(spec.submodule_search_locations or []), spec.origin or ""] if spec else []
    if places and not any(place.startswith(folder) for place in places):
        raise PluginError(
            f"the module {top!r} of {folder} is hidden by {places[0]}; uninstall that, or give the "
            "module another name"
        )


def _plugins_in(folder: Path) -> Iterator[FolderPlugin]:
    if (folder / PROJECT).is_file():
        yield from _registered(folder)
        return
    for path in sorted(folder.iterdir()):
        if path.name.startswith((".", *_SKIPPED)):
            continue
        if path.suffix == ".py" and path.is_file():
            yield from _single(path)
        elif (path / PROJECT).is_file():
            yield from _registered(path)


def _registered(folder: Path) -> Iterator[FolderPlugin]:
    """Yield what the entry points of a distribution's source register."""
    path = folder / PROJECT
    try:
        project: dict[str, Any] = tomllib.loads(_read(path)).get("project", {})
        points = project.get("entry-points", {}).get(GROUP, {})
        pairs = [(str(name), str(value)) for name, value in points.items()]
        about = (str(project.get("name", folder.name)), str(project.get("version", "0")))
    except (tomllib.TOMLDecodeError, AttributeError) as error:
        raise HarnessError(f"{path} cannot be read: {error}; correct it") from error
    below = folder / "src"
    place = str(below if below.is_dir() else folder)
    for name, value in pairs:
        yield FolderPlugin(name, value, *about, place)


def _single(path: Path) -> Iterator[FolderPlugin]:
    """Yield the plugin of one file: the class with hooks, or the module if it has them itself.

    A file without hooks is none; of several classes each is a plugin under the class's own name.
    """
    try:
        body = ast.parse(_read(path)).body
    except (SyntaxError, ValueError):
        yield FolderPlugin(path.stem, path.stem, path.name, "0", str(path.parent))  # as broken
        return
    classes = [node for node in body if isinstance(node, ast.ClassDef) and _has_hooks(node.body)]
    if _has_hooks(body):
        yield FolderPlugin(path.stem, path.stem, path.name, "0", str(path.parent))
    for node in classes:
        name = path.stem if len(classes) == 1 else node.name
        yield FolderPlugin(name, f"{path.stem}:{node.name}", path.name, "0", str(path.parent))


def _has_hooks(body: list[ast.stmt]) -> bool:
    functions = (node for node in body if isinstance(node, ast.FunctionDef))
    return any(node.name in HOOKS and node.decorator_list for node in functions)


def _read(path: Path) -> str:
    try:
        return read_plain(path, MOST_BYTES).decode()
    except (OSError, UnicodeDecodeError) as error:
        raise HarnessError(f"{path} cannot be read: {error}; correct or remove it") from error
