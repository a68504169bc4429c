"""What one run was asked to do."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, NamedTuple
from urllib.parse import parse_qsl, quote_plus

from harness.errors import HarnessError


def default_home() -> Path:
    """Return the folder of data caches, stages and records: HARNESS_HOME, or ~/.harness."""
    return Path(os.environ.get("HARNESS_HOME") or "~/.harness").expanduser()


@dataclass(frozen=True, kw_only=True)
class DataSpec:
    """A data set plugin, where its files lie (or which preset), and its options.

    An empty name asks for the default: what a ``--with`` plugin brings, else synthweb.
    """

    name: str = ""
    path: str | None = None
    options: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def parse(cls, text: str) -> DataSpec:
        """Read ``NAME[:PATH][?KEY=VALUE&...]``; raises HarnessError where it is not that.

        >>> DataSpec.parse("webvision1:/data/webvision?classes=0-49&source=google").path
        '/data/webvision'
        """
        place, _, query = text.partition("?")
        name, _, path = place.partition(":")
        try:
            pairs = parse_qsl(query, keep_blank_values=True, strict_parsing=bool(query))
        except ValueError as error:
            raise HarnessError(
                f"--data {text!r}: what follows '?' must read key=value&key=value"
            ) from error
        if not name:
            raise HarnessError(f"--data {text!r} names no data set; write NAME:PATH")
        if len(dict(pairs)) < len(pairs):
            raise HarnessError(f"--data {text!r} gives a key twice; give each key once")
        return cls(name=name, path=path or None, options=dict(pairs))

    def __str__(self) -> str:
        """Return the text that parses to this value."""
        pairs = [(quote_plus(key), quote_plus(value)) for key, value in self.options.items()]
        options = "&".join(f"{key}={value}" for key, value in pairs)
        path = f":{self.path}" if self.path else ""
        return f"{self.name}{path}" + (f"?{options}" if options else "")


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
    engine: Literal["deepspeed", "torch"] = "deepspeed"
    deepspeed: Mapping[str, Any] = field(default_factory=dict)  # merged over the derived config
    loader_threads: int = 2
    checkpoint_seconds: float = 5.0  # between checkpoints at the ends of epochs; 0: after each
    home: Path = field(default_factory=default_home)

    @property
    def label(self) -> str:
        """The method and what the user changed of it, as it stands on the board."""
        parts = [self.plugin, *(f"{key}={value}" for key, value in sorted(self.knobs.items()))]
        parts += [f"+{name}" for name in self.extra] + [f"-{name}" for name in self.without]
        parts += [
            f"{override.stage}.{override.field}={override.text}".lstrip(".")
            for override in self.overrides
        ]
        return " ".join(parts)
