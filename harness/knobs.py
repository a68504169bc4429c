"""Knobs and fields: where a default comes from, and which values are allowed.

A range is part of the type, with pydantic's ``Field``: ``Annotated[float, Field(gt=0, le=1)]``.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from numbers import Integral, Real
from pathlib import Path
from types import GenericAlias, NoneType, UnionType
from typing import (
    Annotated,
    Any,
    Literal,
    NamedTuple,
    TypeVar,
    Union,
    cast,
    get_args,
    get_origin,
    get_type_hints,
)

from harness.errors import HarnessError, PluginError, unknown

T = TypeVar("T")

UNSTATED = "the plugin's own default"
BOUNDS: dict[str, Callable[[Any, Any], bool]] = {
    "gt": lambda value, bound: value > bound,
    "ge": lambda value, bound: value >= bound,
    "lt": lambda value, bound: value < bound,
    "le": lambda value, bound: value <= bound,
}


def published(default: T, source: str) -> T:
    """Return a knob whose default a deck states; ``source`` names deck, slide and table."""
    return cast("T", _knob(default, "published", source))


def assumed(default: T, why: str) -> T:
    """Return a knob whose default the deck leaves open; ``why`` gives the reason for it."""
    return cast("T", _knob(default, "assumed", why))


def _knob(default: object, origin: str, source: str) -> object:
    return dataclasses.field(default=default, metadata={"origin": origin, "source": source})


class KnobInfo(NamedTuple):
    """One knob: its default, its type and range in words, and where the default comes from."""

    name: str
    default: Any
    type: str
    annotation: Any
    origin: str
    source: str


def knobs_of(plugin: type) -> dict[str, KnobInfo]:
    """Return the knobs of a plugin class by name; empty if it is not a dataclass."""
    if not dataclasses.is_dataclass(plugin):
        return {}
    public = [f for f in dataclasses.fields(plugin) if f.init and not f.name.startswith("_")]
    try:
        hints = _hints(plugin) if public else {}
    except NameError as error:
        raise PluginError(
            f"{plugin.__qualname__}: {error}; import what the type of a knob names"
        ) from error
    return {
        field.name: KnobInfo(
            name=field.name,
            default=_default(field),
            type=_in_words(hints[field.name]),
            annotation=hints[field.name],
            origin=str(field.metadata.get("origin", "assumed")),
            source=str(field.metadata.get("source", UNSTATED)),
        )
        for field in public
    }


@cache
def _hints(kind: type) -> dict[str, Any]:
    return get_type_hints(kind, include_extras=True)


def _default(field: dataclasses.Field[Any]) -> Any:
    if field.default_factory is not dataclasses.MISSING:
        return field.default_factory()
    return field.default


def check_fields(value: object) -> None:
    """Check the fields of a dataclass that have a range or choices, and tuples of such values.

    Raises:
        PluginError: A value is outside: "MixUp: alpha must be > 0, got 0".
    """
    hints = _hints(cast("Any", type(value)))
    for field in dataclasses.fields(cast("Any", value)):
        for problem in _problems(hints[field.name], getattr(value, field.name)):
            raise PluginError(f"{type(value).__name__}: {field.name} {problem}")


def _problems(annotation: Any, value: Any) -> Iterator[str]:
    """Yield "must be ..., got ..." if ``value`` is outside the range or choices of its type."""
    kind, bounds = _split(annotation)
    if (inner := _optional(kind)) is not None:
        yield from () if value is None else _problems(inner, value)
    elif get_origin(kind) is Literal:
        if not any(value == known and type(value) is type(known) for known in get_args(kind)):
            yield f"must be one of {_in_words(kind, ', ')}, got {value!r}"
    elif get_origin(kind) is tuple:
        yield from _of_members(kind, value, bounds.get("min_length", 0))
    elif bounds and not _is_inside(value, kind, bounds):
        yield f"must be {'an int ' * (kind is int)}{_range(bounds)}, got {value!r}"


def _of_members(kind: Any, values: Any, least: int) -> Iterator[str]:
    if not isinstance(values, tuple):
        yield f"must be a tuple, got {values!r}"
        return
    if len(values) < least:
        yield f"must have {least} or more values, got {values}"
    kinds = get_args(kind)
    if kinds[1:] == (...,):
        kinds = kinds[:1] * len(values)
    for part, value in zip(kinds, values, strict=False):
        yield from _problems(part, value)


def _split(annotation: Any) -> tuple[Any, dict[str, Any]]:
    """Return a type without its range, and the values of ``BOUNDS`` and ``min_length``."""
    if get_origin(annotation) is not Annotated:
        return annotation, {}
    kind, *more = get_args(annotation)
    parts = [part for one in more for part in getattr(one, "metadata", [one])]
    names = (*BOUNDS, "min_length")
    return kind, {n: getattr(part, n) for part in parts for n in names if hasattr(part, n)}


def _is_inside(value: Any, kind: Any, bounds: Mapping[str, Any]) -> bool:
    number = Integral if kind is int else Real
    if not isinstance(value, number) or isinstance(value, bool) or not math.isfinite(value):
        return False
    return all(BOUNDS[name](value, bound) for name, bound in bounds.items())


def _range(bounds: Mapping[str, Any]) -> str:
    """Return "in (0, 1]", "> 0", ">= 1"."""
    low, high = bounds.get("ge", bounds.get("gt")), bounds.get("le", bounds.get("lt"))
    if low is not None and high is not None:
        return f"in {'[' if 'ge' in bounds else '('}{low}, {high}{']' if 'le' in bounds else ')'}"
    if low is not None:
        return f"{'>=' if 'ge' in bounds else '>'} {low}"
    return f"{'<=' if 'le' in bounds else '<'} {high}" if high is not None else ""


def parse_knobs(name: str, plugin: type, texts: Mapping[str, str]) -> dict[str, Any]:
    """Turn ``--set`` texts into values of the plugin's knobs.

    Raises:
        HarnessError: A knob is unknown, or a text does not fit its type or range.
    """
    known = knobs_of(plugin)
    values = {}
    for key, text in texts.items():
        if key not in known:
            raise HarnessError(unknown(f"knob of {name}", key, known, listing="knobs"))
        values[key] = parse_value(f"{name}: knob {key}", known[key].annotation, text)
    return values


def parse_value(what: str, annotation: Any, text: str) -> Any:
    """Turn ``text`` into a value of the annotated type; ``what`` names it in errors.

    Raises:
        HarnessError: ``text`` is not such a value, or is outside its range or choices.
    """
    value = _parsed(what, annotation, text)
    for problem in _problems(annotation, value):
        raise HarnessError(f"{what} {problem}")
    members = value if isinstance(value, tuple) else (value,)
    if any(isinstance(member, float) and not math.isfinite(member) for member in members):
        raise HarnessError(f"{what}={text!r} must be finite")
    return _expanded(what, value, text)


def spelled(value: object) -> str:
    """Return the one text of a value, as ``--set`` and ``--stage`` take it."""
    if isinstance(value, bool) or value is None:
        return str(value).lower()
    if isinstance(value, float):
        return repr(value).removesuffix(".0")
    return ",".join(map(spelled, value)) if isinstance(value, tuple | list) else str(value)


def _parsed(what: str, annotation: Any, text: str) -> Any:
    from pydantic import PydanticUserError, TypeAdapter, ValidationError

    kind = _plain(annotation)
    if get_origin(kind) is Literal:
        return {str(choice): choice for choice in get_args(kind)}.get(text, text)
    parts: Any = text
    if (inner := _optional(kind)) is not None:
        return None if text.strip().lower() == "none" else _parsed(what, inner, text)
    if get_origin(kind) in (tuple, list, dict):
        whole = text.strip().removesuffix(",")
        parts = [part.strip() for part in whole.split(",")] if whole else []
    if get_origin(kind) is dict:
        parts = _by_name(what, parts, text)
    try:
        # JSON's rules, not strings': a tuple comes as a list, its members as strings.
        return TypeAdapter(kind).validate_python(parts)
    except ValidationError as error:
        reason = error.errors(include_url=False)[0]["msg"]
        words = _in_words(kind)
        article = "an" if words[0] in "aeiou" else "a"
        raise HarnessError(f"{what}={text!r} is not {article} {words}: {reason}") from error
    except PydanticUserError as error:
        raise PluginError(
            f"{what} has the type {_in_words(kind)}, which cannot be set from a text; if it is "
            "not a knob, begin its name with _"
        ) from error


def _optional(kind: Any) -> Any:
    """Return X of the type ``X | None``, or None if it is another type."""
    if get_origin(kind) not in (Union, UnionType) or NoneType not in get_args(kind):
        return None
    rest = [part for part in get_args(kind) if part is not NoneType]
    return rest[0] if len(rest) == 1 else None


def _by_name(what: str, parts: list[str], text: str) -> dict[str, str]:
    pairs = [part.partition("=") for part in parts]
    found = {name.strip(): value.strip() for name, equals, value in pairs if equals and name}
    if len(found) < len(parts):
        raise HarnessError(f"{what}={text!r} must be NAME=VALUE,NAME=VALUE with different names")
    return found


def _plain(annotation: Any) -> Any:
    """Return the type without ranges."""
    kind, _ = _split(annotation)
    if get_origin(kind) is tuple and get_args(kind):
        parts = tuple(part if part is ... else _plain(part) for part in get_args(kind))
        return GenericAlias(tuple, parts)
    return kind


def _expanded(what: str, value: Any, text: str) -> Any:
    """Replace the ~ of a path by the user's home; refuse an empty path."""
    if isinstance(value, tuple):
        return tuple(_expanded(what, member, text) for member in value)
    if not isinstance(value, Path):
        return value
    if value == Path():
        raise HarnessError(f"{what}={text!r} does not name a file or folder")
    try:
        return value.expanduser()
    except RuntimeError as error:
        raise HarnessError(f"{what}={text!r}: {error}") from error


def _in_words(annotation: Any, between: str = " | ") -> str:
    kind, bounds = _split(annotation)
    if bounds:
        return f"{_in_words(kind)} {_range(bounds)}".strip()
    if get_origin(kind) is Literal:
        return between.join(str(choice) for choice in get_args(kind))
    if (inner := _optional(kind)) is not None:
        return f"{_in_words(inner, between)} | None"
    if get_origin(kind) is tuple and get_args(kind):
        return f"tuple[{', '.join('...' if p is ... else _in_words(p) for p in get_args(kind))}]"
    if isinstance(kind, type) and not get_args(kind):
        return kind.__name__
    return str(kind).replace("typing.", "").replace("NoneType", "None")
