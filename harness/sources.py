"""The source of what plugins contribute: a changed one must never meet a stale result."""

from __future__ import annotations

import ast
import hashlib
import importlib.util
import inspect
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from types import ModuleType

from harness.errors import PluginError

LANGUAGE = ("harness.texts.", "harness.wordnet.")


@cache
def file_sha256(path: str) -> str:
    """Return the sha256 of a source file, read once per process."""
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()


def sources_of(part: object) -> dict[str, str]:
    """Return the sha256 of the file that defines ``part``, and of what it uses of its own package.

    ``part`` is a value, whose class counts, or a module. What it imports from elsewhere, the
    harness or a library, does not count, but for what the harness knows of language: tricks are
    made of it. Raises PluginError where it is defined in no file.
    """
    kind = part if isinstance(part, ModuleType) else type(part)
    name = kind.__name__ if isinstance(kind, ModuleType) else kind.__module__
    try:
        path = Path(inspect.getfile(kind))
    except (TypeError, OSError) as error:
        raise PluginError(f"{kind.__name__} must be defined in a file: {error}") from error
    package = name if path.name == "__init__.py" else name.rpartition(".")[0]
    return dict(_sources(str(path), name, package))


@cache
def _sources(path: str, name: str, package: str) -> tuple[tuple[str, str], ...]:
    found = {name: path}
    waiting = [path]
    while waiting:
        for used in _imported(Path(waiting.pop()), package):
            origin = _origin(used) if used not in found else None
            if origin:
                found[used] = origin
                waiting.append(origin)
    return tuple((module, file_sha256(file)) for module, file in sorted(found.items()))


def _imported(path: Path, package: str) -> Iterator[str]:
    """Yield what a file imports of the package, be it a module or a name in one."""
    if not package or path.suffix != ".py":
        return
    for node in ast.walk(ast.parse(path.read_bytes())):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            asked = "." * node.level + (node.module or "")
            module = importlib.util.resolve_name(asked, package) if node.level else asked
            names = [module, *(f"{module}.{alias.name}" for alias in node.names)]
        else:
            continue
        yield from (name for name in names if name.startswith((f"{package}.", *LANGUAGE)))


def _origin(name: str) -> str | None:
    try:
        spec = importlib.util.find_spec(name)
    except (ImportError, ValueError):  # a name in a module is no module
        return None
    return spec.origin if spec and spec.has_location else None
