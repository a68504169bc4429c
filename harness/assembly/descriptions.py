"""The fixed description of a value, by its content: what a stage's key is made of.

Two values that differ have different descriptions: every JSON object in one has a single key,
which says what the object stands for, and a JSON array is a list. Equal descriptions are equal
values, code included: classes and functions are described with the source that defines them.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
import sys
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterable, Iterator, Mapping
from enum import Enum
from functools import cache, cached_property, partial
from pathlib import Path, PurePath
from types import MappingProxyType, MethodType, ModuleType, NoneType
from typing import Any

from harness.assembly.sources import defines, is_ours, is_standard, sources_of
from harness.assembly.tensors import described_tensors, is_of_tensors
from harness.errors import HarnessError, PluginError
from harness.store.contents import content_of
from harness.values import Stage

EXACT_INTEGER = 64  # bits; JSON writes a larger one for minutes, or not at all
HEAP_TYPE = 1 << 9  # flag of types that are created at run time
NOTHING = type("Nothing", (), {}).__basicsize__  # bytes of an instance without a state of C's


def describe(value: object, place: str = "") -> Any:
    """Return a JSON-able description of a value's content.

    Plain values, containers, enums, arrays and tensors, instances of classes (all that they hold,
    fields or not), files and folders by what they hold, modules, and classes and functions of a
    module's top level. ``place`` names the value in errors.

    Raises:
        PluginError: It has no fixed description, or contains something without one.
        HarnessError: A path leads to nothing that can be read.
    """
    place = place or type(value).__name__
    try:
        return _describe(value, place)
    except RecursionError:
        raise PluginError(f"{place} contains itself, so it has no fixed description") from None


def describe_provider(plugin: object, identity: object = None) -> Any:
    """Describe who provides something: its class, knobs, sources, what it reads and what it says.

    Of a plugin's state only its dataclass fields count; the rest may be a memory of what it did.
    """
    name = type(plugin).__name__
    return {
        "provider": [
            describe(plugin) if isinstance(plugin, ModuleType) else _named(type(plugin)),
            [[key, describe(value, f"{name}.{key}")] for key, value in _fields(plugin)],
            _reads(plugin, name),
            describe(identity, f"{name}'s identity"),
        ]
    }


def _describe(value: Any, place: str) -> Any:
    how = EXACT.get(type(value))
    if how is None:
        how = next((how for kind, how in KINDS if isinstance(value, kind)), None)
    if how is None and is_of_tensors(value):
        how = _of_tensors
    if how is None and isinstance(value, tuple) and hasattr(value, "_fields"):
        how = _named_tuple
    return (how or _object)(value, place)


def _itself(value: object, _place: str) -> object:
    return value


def _integer(value: int, _place: str) -> Any:
    return value if value.bit_length() <= EXACT_INTEGER else {"int": hex(value)}


def _float(value: float, _place: str) -> Any:
    return value if math.isfinite(value) else {"float": str(value)}


def _text(value: str, _place: str) -> Any:
    # JSON writes two halves of a character as it writes the character.
    broken = any("\ud800" <= character <= "\udfff" for character in value)
    return {"str": value.encode("utf-8", "surrogatepass").hex()} if broken else value


def _complex(value: complex, place: str) -> Any:
    return {"complex": [_float(value.real, place), _float(value.imag, place)]}


def _bytes(value: bytes | bytearray, _place: str) -> Any:
    return {type(value).__name__: _digested(value)}


def _range(value: range, place: str) -> Any:
    return {"range": [_integer(part, place) for part in (value.start, value.stop, value.step)]}


def _list(value: Iterable[Any], place: str) -> Any:
    return [_describe(item, f"{place}[{number}]") for number, item in enumerate(value)]


def _tuple(value: tuple[Any, ...], place: str) -> Any:
    return {"tuple": _list(value, place)}


def _mapping(value: Mapping[Any, Any], place: str) -> Any:
    # In its order: iteration depends on it.
    items = [[_describe(k, place), _describe(v, f"{place}[{k!r:.40}]")] for k, v in value.items()]
    return {type(value).__name__: items}


def _set(value: Iterable[Any], place: str) -> Any:
    items = [_describe(item, place) for item in value]
    return {type(value).__name__: sorted(items, key=_sortable)}


def _path(value: Path, place: str) -> Any:
    try:
        return {"path": content_of(value)}
    except HarnessError as error:
        raise HarnessError(f"{place}: {error}") from error


def _pure_path(value: PurePath, _place: str) -> Any:
    return {"pure path": [type(value).__name__, value.as_posix()]}


def _enum(value: Enum, place: str) -> Any:
    return {"enum": [*_named(type(value)), _describe(value.value, place)]}


def _module(value: ModuleType, place: str) -> Any:
    return {"module": [value.__name__, sources_of(value), _reads(value, place)]}


def _partial(value: partial[Any], place: str) -> Any:
    parts = [value.func, value.args, value.keywords]
    return {"partial": [_describe(part, place) for part in (*parts, vars(value))]}


def _global(value: Any, place: str) -> Any:
    if not _is_global(value):
        raise _refusal(value, place)
    return {"global": _named(value)}


def _is_global(value: Any) -> bool:
    """Whether a class or a function is what its module has under its name."""
    name = getattr(value, "__qualname__", "")
    found = sys.modules.get(getattr(value, "__module__", None) or "")
    for part in name.split("."):
        found = getattr(found, part, None)
    return bool(name) and found is value


def _of_tensors(value: object, place: str) -> Any:
    described = described_tensors(value)
    if described is None:
        raise _refusal(value, place)
    return described


def _named_tuple(value: Any, place: str) -> Any:
    return {"named tuple": [*_named(type(value)), list(value._fields), _list(value, place)]}


def _stage(_value: object, place: str) -> Any:
    raise PluginError(
        f"{place} is a stage inside another value; give the trick a separate field for it, or for "
        "a tuple of stages"
    )


def _object(value: Any, place: str) -> Any:
    """Describe an instance by its class and state, if the class's source defines them."""
    kind = type(value)
    if kind is object or isinstance(value, MethodType):
        raise _refusal(value, place)
    for base in kind.__mro__[:-1]:
        if is_ours(base.__module__) or base.__module__ == "typing":
            continue
        if _holds_more(base):
            raise _refusal(value, place)
        if not (_is_global(base) if is_standard(base.__module__) else defines(base)):
            raise PluginError(
                f"{place} has no fixed description, so its result cannot be kept: the statement of "
                f"class {base.__name__} is not at the top level of its module; write it there, as "
                "a frozen dataclass of plain values"
            )
    state = [[name, _describe(part, f"{place}.{name}")] for name, part in _state(value)]
    return {"object": [*_named(kind), state, _reads(value, place)]}


def _holds_more(kind: type) -> bool:
    """Return whether instances hold state of C code, in neither slots nor ``__dict__``."""
    made_by_python = kind.__flags__ & HEAP_TYPE
    return not made_by_python or kind.__basicsize__ > NOTHING + 8 * len(_slots(kind))


def _named(part: Any) -> list[Any]:
    """Return the name of a class or a function, and its sources."""
    standard = is_standard(part.__module__)
    sources = {} if standard else sources_of(part)
    return [f"{part.__module__}:{part.__qualname__}", sources]


def _state(value: object) -> Iterator[tuple[str, object]]:
    """Yield the state of an instance: fields, slots and other attributes."""
    kind = type(value)
    fields = dict(_fields(value))
    yield from fields.items()
    for name in (*_slots(kind), *getattr(value, "__dict__", ())):
        derived = isinstance(getattr(kind, name, None), cached_property)
        if name not in fields and hasattr(value, name) and not derived:
            yield name, getattr(value, name)


def _fields(value: object) -> Iterator[tuple[str, object]]:
    """Yield the dataclass fields of an instance that are set."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        names = [field.name for field in dataclasses.fields(value)]
        yield from ((name, getattr(value, name)) for name in names if hasattr(value, name))


def _slots(kind: type) -> list[str]:
    found = []
    for base in kind.__mro__:
        names = vars(base).get("__slots__", ())
        for name in (names,) if isinstance(names, str) else names:
            private = name.startswith("__") and not name.endswith("__")
            found.append(f"_{base.__name__.lstrip('_')}{name}" if private else name)
    return [name for name in dict.fromkeys(found) if name not in ("__dict__", "__weakref__")]


def _reads(part: object, place: str) -> Any:
    """Describe the files and folders in ``reads`` of a part, by their content."""
    reads = getattr(part, "reads", ())
    if any(name == "reads" for name, _ in _fields(part)):
        return []  # a field of that name, which is described as all are
    paths = [reads] if isinstance(reads, (str, Path)) else reads
    if not isinstance(paths, (list, tuple)) or not all(isinstance(p, (str, Path)) for p in paths):
        raise PluginError(f"{place}.reads must be a path or a tuple of paths, not {reads!r:.80}")
    return [_path(Path(path), f"{place}.reads") for path in paths]


def _refusal(value: object, place: str) -> PluginError:
    shown = " ".join(f"{value!r:.80}".split())
    return PluginError(
        f"{place}: {shown} has no fixed description, so its result cannot be kept; write a frozen "
        "dataclass of plain values, or a function at the top level of a module (functools.partial "
        "of one will do)"
    )


def _digested(content: bytes | bytearray) -> list[Any]:
    return [len(content), hashlib.sha256(content).hexdigest()]


def _sortable(described: Any) -> str:
    return json.dumps(described, sort_keys=True)


EXACT: dict[type, Callable[[Any, str], Any]] = {
    **dict.fromkeys((NoneType, bool), _itself),
    int: _integer,
    float: _float,
    str: _text,
    complex: _complex,
    range: _range,
    **dict.fromkeys((bytes, bytearray), _bytes),
    list: _list,
    tuple: _tuple,
    partial: _partial,
    ModuleType: _module,
    **dict.fromkeys((dict, OrderedDict, Counter, MappingProxyType), _mapping),
    **dict.fromkeys((set, frozenset), _set),
}
KINDS: tuple[tuple[type, Callable[[Any, str], Any]], ...] = (
    (Stage, _stage),
    *((Path, _path), (PurePath, _pure_path), (Enum, _enum), (type, _global)),
    (type(describe), _global),
    (type(len), _global),
    (type(cache(describe)), _global),
)
