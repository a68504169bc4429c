"""The specification of one run."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal, NamedTuple, TypeAlias, get_args
from urllib.parse import quote, unquote

from harness.errors import HarnessError, unknown

EngineName: TypeAlias = Literal["deepspeed", "ddp", "torch"]
ENGINES: tuple[EngineName, ...] = get_args(EngineName)
MAX_SEED = 2**31 - 1
_BYTES = "surrogateescape"  # names of files may hold bytes that are not UTF-8


def check_engine(name: str, deepspeed: Mapping[str, Any] | None = None) -> None:
    """Raise HarnessError if no engine is called so, or if it would ignore DeepSpeed's settings."""
    if name not in ENGINES:
        raise HarnessError(unknown("engine", name, ENGINES))
    if deepspeed and name != "deepspeed":
        raise HarnessError(
            f"DeepSpeed's settings were given, but engine {name!r} does not read them; leave them "
            "out, or use engine 'deepspeed'"
        )


def default_home() -> Path:
    """Return the folder of data caches, stages and records: HARNESS_HOME, or ~/.harness."""
    return usable_home(Path(os.environ.get("HARNESS_HOME") or "~/.harness"))


def usable_home(home: Path) -> Path:
    """Return the folder with ``~`` spelt out; raises HarnessError if it cannot be a folder."""
    try:
        folder = home.expanduser()
    except RuntimeError as error:
        raise HarnessError(
            f"{home}: the home folder of the user is not known ({error}); set HARNESS_HOME to a "
            "folder"
        ) from error
    if "\0" in str(folder):
        raise HarnessError(f"HARNESS_HOME {str(folder)!r} holds a NUL; name another folder")
    if os.path.lexists(folder) and not folder.is_dir():
        kind = "a link to nothing" if folder.is_symlink() and not folder.exists() else "not one"
        raise HarnessError(f"HARNESS_HOME {folder} must be a folder, but it is {kind}")
    return folder


@dataclass(frozen=True, kw_only=True)
class DataSpec:
    """A data set plugin, the path of its files (or its preset), and its options.

    An empty name asks for the default: what a ``--with`` plugin brings, else synthweb.
    """

    name: str = ""
    path: str | None = None
    options: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def parse(cls, text: str) -> DataSpec:
        """Read ``NAME[:PATH][?KEY=VALUE&...]``; raises HarnessError if it is not that.

        The first ``?`` ends the path, in which ``%3F`` means ``?`` and ``%25`` ``%``. In
        keys and values ``%XX`` means the byte XX, as ``%26`` for ``&``. Everything else,
        blanks and ``+`` too, is what it is.

        >>> DataSpec.parse("webvision1:/data/webvision?classes=0-49&source=google").path
        '/data/webvision'
        """
        place, question, query = text.partition("?")
        name, colon, path = place.partition(":")
        if not name:
            raise HarnessError(f"--data {text!r} names no data set; write NAME:PATH")
        # A shell variable that is not set must not mean the default.
        for mark, after in ((colon, path), (question, query)):
            if mark and not after:
                raise HarnessError(
                    f"--data {text!r} has nothing after {mark!r}; complete it, or leave the "
                    f"{mark!r} out"
                )
        options: dict[str, str] = {}
        for part in query.split("&") if query else ():
            key, equals, value = (unquote(word, errors=_BYTES) for word in part.partition("="))
            if not equals:
                raise HarnessError(
                    f"--data {text!r}: what follows '?' must read key=value&key=value; write %3F "
                    "for a '?' in a folder's name"
                )
            if key in options:
                raise HarnessError(f"--data {text!r} gives a key twice; give each key once")
            options[key] = value
        path = re.sub("%3F", "?", path, flags=re.IGNORECASE).replace("%25", "%")
        return cls(name=name, path=path or None, options=options)

    def __str__(self) -> str:
        """Return the text that parses to this value."""
        options = "&".join(
            f"{quote(key, errors=_BYTES)}={quote(value, errors=_BYTES)}"
            for key, value in self.options.items()
        )
        path = f":{_escaped(self.path)}" if self.path else ""
        return f"{self.name}{path}" + (f"?{options}" if options else "")


def _escaped(path: str) -> str:
    """Write a path so that neither a ``?`` nor a ``%3F`` in it is read as something else."""
    return re.sub("%(?=3F|25)", "%25", path, flags=re.IGNORECASE).replace("?", "%3F")


class Override(NamedTuple):
    """One ``--stage [NAME.]FIELD=VALUE``; an empty stage means every stage."""

    stage: str
    field: str
    text: str


@dataclass(frozen=True, kw_only=True)
class RunSpec:
    """A method with its knobs, the data, further plugins and the seed, as the user asked."""

    plugin: str
    knobs: Mapping[str, str] = field(default_factory=dict)
    data: DataSpec = field(default_factory=DataSpec)
    extra: tuple[str, ...] = ()
    without: tuple[str, ...] = ()
    seed: int = 0
    overrides: tuple[Override, ...] = ()
    full_size: bool = False  # leave the data set's profile out
    engine: EngineName = "deepspeed"
    deepspeed: Mapping[str, Any] = field(default_factory=dict)  # merged over the derived config
    loader_threads: int = 2
    checkpoint_seconds: float = 5.0  # between checkpoints at the ends of epochs; 0: after each
    home: Path = field(default_factory=default_home)

    def __post_init__(self) -> None:
        """Refuse a value that would make a record that contradicts itself."""
        if not isinstance(self.plugin, str):
            raise HarnessError(f"plugin must be the name of a method, got {self.plugin!r}")
        if not isinstance(self.full_size, bool):
            raise HarnessError(f"full_size must be True or False, got {self.full_size!r}")
        if type(self.seed) is not int or not 0 <= self.seed <= MAX_SEED:
            raise HarnessError(f"seed must be an int from 0 to {MAX_SEED}, got {self.seed!r}")
        if not isinstance(self.data, DataSpec):
            raise HarnessError(f"data must be a DataSpec, got {self.data!r}")
        if not _is_number(self.checkpoint_seconds) or not 0 <= self.checkpoint_seconds < math.inf:
            raise HarnessError(
                f"checkpoint_seconds must be a number from 0, got {self.checkpoint_seconds!r}"
            )

    @property
    def label(self) -> str:
        """The method and the knobs that the user changed, as on the board."""
        parts = [self.plugin, *(f"{key}={value}" for key, value in sorted(self.knobs.items()))]
        parts += [f"+{name}" for name in self.extra] + [f"-{name}" for name in self.without]
        parts += [
            f"{override.stage}.{override.field}={override.text}".lstrip(".")
            for override in self.overrides
        ]
        return " ".join(parts)


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def read_only_spec(spec: RunSpec) -> RunSpec:
    """Return an equal spec whose mappings, at every depth, cannot be written to."""
    return replace(
        spec,
        knobs=_read_only(spec.knobs),
        data=replace(spec.data, options=_read_only(spec.data.options)),
        deepspeed=_read_only(spec.deepspeed),
    )


def _read_only(value: Any) -> Any:
    if isinstance(value, Mapping):
        return MappingProxyType({key: _read_only(item) for key, item in value.items()})
    return tuple(map(_read_only, value)) if isinstance(value, list) else value
