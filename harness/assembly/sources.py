"""The source of what plugins contribute: a changed one must never meet a stale result."""

from __future__ import annotations

import ast
import hashlib
import importlib.util
import sys
from collections.abc import Iterator
from functools import cache
from importlib.machinery import PathFinder
from importlib.metadata import entry_points
from pathlib import Path
from types import ModuleType
from typing import NamedTuple

from harness.errors import PluginError

# Of the harness itself, what parts are made of counts; the rest changes with the protocol.
OURS = "harness"
GROUP = "harness.plugins"  # of the entry points by which distributions register plugins
COUNTED = ("harness.tricks.", "harness.networks.", "harness.language.", "harness.wordnet.")
# Too large to follow: their classes and functions are identified by the library's version.
LIBRARIES = frozenset(
    {
        *("PIL", "cv2", "datasets", "deepspeed", "huggingface_hub", "jax", "matplotlib", "nltk"),
        *("numba", "numpy", "pandas", "pluggy", "pydantic", "safetensors", "scipy"),
        *("sentence_transformers", "skimage", "sklearn", "textblob", "timm", "tokenizers"),
        *("torch", "torchvision", "transformers"),
    }
)
INSTALLED = frozenset({"site-packages", "dist-packages"})


class Parsed(NamedTuple):
    """The modules or names that a Python file imports and the classes that it defines."""

    imports: frozenset[str]
    classes: frozenset[str]


@cache
def file_sha256(path: str) -> str:
    """Return the sha256 of a source file, read once per process: it runs what it read first."""
    try:
        return hashlib.sha256(Path(path).read_bytes()).hexdigest()
    except OSError as error:
        raise PluginError(
            f"the source {path} cannot be read ({error.strerror}); a part's identity is its "
            "source, so install it as a file"
        ) from error


def sources_of(part: object) -> dict[str, str]:
    """Return the sources of ``part``: the sha256 of each source file, by module.

    ``part`` is a module, a class, a function or any other value, whose class counts. With the file
    that defines it count those of its base classes, the packages they are in, and, recursively,
    what these import from the same distribution or from code that is not installed (a folder on the
    path, an editable install). Of the harness only tricks, networks and ``harness.language`` count.
    A part of a library is identified by the library's version. Other installed libraries and
    Python's own modules do not count. Raises PluginError if a part is not defined in a file.
    """
    if isinstance(part, ModuleType):
        return _found(part.__name__)
    kind = part if isinstance(part, type) or hasattr(part, "__qualname__") else type(part)
    modules = [base.__module__ for base in getattr(kind, "__mro__", [kind])]
    found: dict[str, str] = {}
    for module in dict.fromkeys(modules):
        found |= _found(module)
    if not found and modules[0] in ("builtins", "types", ""):
        raise PluginError(f"{getattr(kind, '__name__', kind)} must be defined in a file")
    return dict(sorted(found.items()))


def is_ours(module: str) -> bool:
    """Whether a module is the harness's own and changes with the protocol."""
    return module.startswith(f"{OURS}.") and not module.startswith(COUNTED)


def is_standard(module: str) -> bool:
    """Whether a module is Python's own."""
    return _top(module) in sys.stdlib_module_names


def defines(kind: type) -> bool:
    """Return whether the class statement is in its module's file, outside of any function.

    Only then does the source say all that the class does.
    """
    path = module_file(kind.__module__)
    return path is not None and kind.__qualname__ in _parsed(str(path), kind.__module__).classes


def module_file(name: str) -> Path | None:
    """Return the file of a module, found without importing it; None if there is none."""
    loaded = getattr(sys.modules.get(name), "__file__", None)
    if loaded:
        return Path(loaded)
    top, *below = name.split(".")
    try:
        spec = importlib.util.find_spec(top)
        for part in below:
            package, top = top, f"{top}.{part}"
            if package in sys.modules:
                spec = importlib.util.find_spec(top)
            elif spec:  # find_spec would import the package; the path's finder does not
                spec = PathFinder.find_spec(top, spec.submodule_search_locations)
    except Exception:  # another project's finder can raise anything at all
        return None
    return Path(spec.origin) if spec and spec.origin and Path(spec.origin).exists() else None


def _found(root: str) -> dict[str, str]:
    if is_standard(root) or is_ours(root):
        return {}
    top = _top(root)
    if top in LIBRARIES:
        return {top: f"version {getattr(sys.modules.get(top), '__version__', 'unknown')}"}
    path = module_file(root)
    if path is None:
        raise PluginError(f"{root} must be defined in a file")
    return dict(_sources(root, str(path)))


@cache
def _sources(root: str, _path: str) -> tuple[tuple[str, str], ...]:
    found: dict[str, str] = {}
    waiting, met = _with(root), set()
    while waiting:
        name = waiting.pop()
        path = module_file(name) if name not in met and _counts(name, _top(root)) else None
        met.add(name)
        if path:
            found[name] = file_sha256(str(path))
            waiting += [part for used in _parsed(str(path), name).imports for part in _with(used)]
    return tuple(sorted(found.items()))


def _counts(name: str, root: str) -> bool:
    """Whether a module counts as a source of a part below the top package ``root``."""
    top = _top(name)
    if top == OURS:
        return name.startswith(COUNTED)
    if top == root:
        return True
    return not (is_standard(top) or top in LIBRARIES) and _travels_with(top, root)


def _travels_with(top: str, root: str) -> bool:
    """Whether a top package is not installed, or was installed together with ``root``."""
    try:
        spec = importlib.util.find_spec(top)
    except Exception:  # another project's finder can raise anything at all
        return False
    if spec is None:
        return False
    places = [*([spec.origin] if spec.has_location and spec.origin else [])]
    places += spec.submodule_search_locations or []
    if not any(INSTALLED & set(Path(place).parts) for place in places):
        return bool(places)
    return any({top, root} <= packages for packages in _installed_together())


@cache
def _installed_together() -> tuple[frozenset[str], ...]:
    """The top packages of each distribution that registers plugins."""
    owners = [point.dist for point in entry_points(group=GROUP)]
    files = [owner.files or [] if owner else [] for owner in owners]
    return tuple(frozenset(file.parts[0].removesuffix(".py") for file in own) for own in files)


@cache
def _parsed(path: str, name: str) -> Parsed:
    """Read a file's imports and classes; none if it is not Python source."""
    nothing = Parsed(frozenset(), frozenset())
    if not path.endswith(".py"):
        return nothing
    try:
        tree = ast.parse(Path(path).read_bytes())
    except (OSError, SyntaxError, ValueError):  # written for another Python, and not imported here
        return nothing
    package = name if Path(path).name == "__init__.py" else name.rpartition(".")[0]
    return Parsed(frozenset(_imported(tree, package)), frozenset(_classes(tree, "")))


def _imported(tree: ast.AST, package: str) -> Iterator[str]:
    """Yield what a file imports, be it a module or a name in one."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            asked = "." * node.level + (node.module or "")
            module = _absolute(asked, package)
            yield from (module, *(f"{module}.{alias.name}" for alias in node.names))
        elif isinstance(node, ast.Call) and _imports(node):
            yield from (_absolute(name, package) for name in _texts(node.args[:1]))


def _imports(call: ast.Call) -> bool:
    """Whether a call imports: ``importlib.import_module("name")``, ``__import__("name")``."""
    name = getattr(call.func, "attr", getattr(call.func, "id", ""))
    return name in ("import_module", "__import__")


def _texts(arguments: list[ast.expr]) -> Iterator[str]:
    for node in arguments:
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value


def _absolute(name: str, package: str) -> str:
    try:
        return importlib.util.resolve_name(name, package) if name.startswith(".") else name
    except ImportError:  # beyond the top package
        return ""


def _classes(tree: ast.AST, outer: str) -> Iterator[str]:
    """Yield the qualified names of the classes of a file, those inside functions left out."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.ClassDef):
            yield f"{outer}{node.name}"
            yield from _classes(node, f"{outer}{node.name}.")
        elif not isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.expr)):
            yield from _classes(node, outer)


def _top(name: str) -> str:
    return name.partition(".")[0]


def _packages(name: str) -> list[str]:
    """The packages around a module: importing it runs them first."""
    parts = name.split(".")
    return [".".join(parts[:length]) for length in range(1, len(parts))]


def _with(name: str) -> list[str]:
    return [name, *_packages(name)]
