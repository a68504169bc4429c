"""A method's knobs: dataclass fields whose metadata says where their value comes from."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, NamedTuple, TypeVar, cast, get_args, get_origin, get_type_hints

from pydantic import PydanticUserError, TypeAdapter, ValidationError

from harness.errors import HarnessError, PluginError, unknown

T = TypeVar("T")

UNSTATED = "the plugin's own default"


def published(default: T, source: str) -> T:
    """A knob whose default a deck states: ``source`` names deck, slide and table."""
    return cast("T", _knob(default, "published", source))


def assumed(default: T, why: str) -> T:
    """A knob whose default the deck leaves open: ``why`` says what speaks for it."""
    return cast("T", _knob(default, "assumed", why))


def _knob(default: object, origin: str, source: str) -> object:
    return dataclasses.field(default=default, metadata={"origin": origin, "source": source})


class KnobInfo(NamedTuple):
    """One knob: its default, its type in words, and where the default comes from."""

    name: str
    default: Any
    type: str
    annotation: Any
    origin: str
    source: str


def knobs_of(plugin: type) -> dict[str, KnobInfo]:
    """Return the knobs of a plugin class by name; empty where it is no dataclass."""
    if not dataclasses.is_dataclass(plugin):
        return {}
    public = [f for f in dataclasses.fields(plugin) if f.init and not f.name.startswith("_")]
    try:
        hints = get_type_hints(plugin, include_extras=True) if public else {}
    except NameError as error:
        raise PluginError(
            f"{plugin.__qualname__}: {error}; what a knob's type names must be imported"
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


def _default(field: dataclasses.Field[Any]) -> Any:
    if field.default_factory is not dataclasses.MISSING:
        return field.default_factory()
    return field.default


def parse_knobs(name: str, plugin: type, texts: Mapping[str, str]) -> dict[str, Any]:
    """Turn ``--set`` texts into values of the plugin's knobs.

    Raises HarnessError where a knob is unknown (naming the nearest) or a text does not fit its
    type (naming the choices).
    """
    known = knobs_of(plugin)
    values = {}
    for key, text in texts.items():
        if key not in known:
            raise HarnessError(unknown(f"knob of {name}", key, known, listing="knobs"))
        values[key] = parse_value(f"{name}: knob {key}", known[key].annotation, text)
    return values


def parse_value(what: str, annotation: Any, text: str) -> Any:
    """Turn ``text`` into a value of the annotated type; raises HarnessError where it is none."""
    if get_origin(annotation) is Literal:
        choices = {str(choice): choice for choice in get_args(annotation)}
        if text not in choices:
            raise HarnessError(f"{what}={text!r} is none of its choices: {', '.join(choices)}")
        return choices[text]
    parts: Any = text
    if get_origin(annotation) is tuple:
        whole = text.strip().removesuffix(",")
        parts = [part.strip() for part in whole.split(",")] if whole else []
    try:
        # JSON's rules, not strings': a tuple comes as a list, its members as strings.
        value = TypeAdapter(annotation).validate_python(parts)
    except ValidationError as error:
        reason = error.errors(include_url=False)[0]["msg"]
        raise HarnessError(f"{what}={text!r} is no {_in_words(annotation)}: {reason}") from error
    except PydanticUserError as error:
        raise PluginError(
            f"{what} has the type {_in_words(annotation)}, which no text can be turned into; "
            "leave it out of the knobs by a name that begins with _"
        ) from error
    members = value if isinstance(value, tuple) else (value,)
    if any(isinstance(member, float) and not math.isfinite(member) for member in members):
        raise HarnessError(f"{what}={text!r} must be finite")
    return _expanded(what, value, text)


def _expanded(what: str, value: Any, text: str) -> Any:
    """Put the user's home for the ~ of a path; refuse a path that names nothing."""
    if isinstance(value, tuple):
        return tuple(_expanded(what, member, text) for member in value)
    if not isinstance(value, Path):
        return value
    if value == Path():
        raise HarnessError(f"{what}={text!r} names no file or folder")
    try:
        return value.expanduser()
    except RuntimeError as error:
        raise HarnessError(f"{what}={text!r}: {error}") from error


def _in_words(annotation: Any) -> str:
    if get_origin(annotation) is Literal:
        return " | ".join(str(choice) for choice in get_args(annotation))
    if isinstance(annotation, type) and not get_args(annotation):
        return annotation.__name__
    return str(annotation).replace("typing.", "").replace("NoneType", "None")
