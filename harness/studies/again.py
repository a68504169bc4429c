"""A run again: what was asked for, read back from its record, and the command that asks for it."""

from __future__ import annotations

import ast
import re
import shlex
from collections.abc import Iterator
from typing import Any

from harness.spec import ENGINES
from harness.store.record import EffectiveStage, ResultRecord

_FOLDERS = frozenset({"webvision1", "webvision2", "mini-webvision", "folder", "csv"})
_SYNTHWEB = re.compile(r"synthweb-(\w+) v\d+(, true labels)?$")


def asked(record: ResultRecord) -> dict[str, Any]:
    """Return what a run was asked for, as arguments of ``harness.api.spec_of``.

    A record does not say where the data lay: a folder is left to fill in, as FOLDER.
    """
    found: dict[str, Any] = {
        "plugin": record.plugin,
        "knobs": {},
        "stage": {},
        "extra": [],
        "data": data(record),
        "without": record.without,
        "seed": record.seed,
        "engine": record.cost.engine,
        # Only our own data has a profile that shrinks a recipe.
        "full_size": record.full_size and record.data.plugin == "synthweb",
    }
    for option, text in _label(record):
        name, _, value = text.partition("=")
        if option == "extra":
            found[option].append(text)
        else:
            found[option][name] = value
    return found


def ranks_of(record: ResultRecord) -> int:
    """Return how many processes trained the last stage, in the end."""
    last: EffectiveStage | None = record.stages[-1] if record.stages else None
    return last.ranks[-1] if last and last.ranks else 1


def command(record: ResultRecord, *, seed: int | None = None) -> str:
    """Return the ``harness run`` that makes this run again, or the same one with another seed.

    A record does not say where the data lay: the folder is left to fill in, as FOLDER.
    """
    what = asked(record)
    words = ["harness", "run", "--plugin", record.plugin]
    for option, text in _label(record):
        words += [{"knobs": "--set", "stage": "--stage", "extra": "--with"}[option], text]
    words += ["--data", what["data"]]
    for name in record.without:
        words += ["--without", name]
    seed = record.seed if seed is None else seed
    words += ["--seed", str(seed)] if seed else []
    words += ["--engine", record.cost.engine] if record.cost.engine != ENGINES[0] else []
    words += _ranks(record)
    words += ["--full-size"] if what["full_size"] else []
    return shlex.join(words)


def data(record: ResultRecord) -> str:
    """Return what ``--data`` takes for the data of a record."""
    asked = record.data.asked
    if asked:
        name, colon, rest = asked.partition("?")
        if name in _FOLDERS:
            return f"{name}:FOLDER{colon}{rest}"
        return asked
    found = _SYNTHWEB.match(record.data.edition)
    if found:
        return f"synthweb:{found[1]}{'?labels=true' if found[2] else ''}"
    name = record.data.plugin
    return f"{name}:FOLDER" if name in _FOLDERS else name


def _label(record: ResultRecord) -> Iterator[tuple[str, str]]:
    """Yield what the label shows: knobs, added plugins (``extra``), overrides of a ``stage``."""
    words = _words(record.label.removeprefix(record.plugin))
    added = [word[1:] for word in words if word.startswith("+")]
    knobs = {n: knob for n, knob in record.knobs.items() if knob.origin == "command line"}
    for name, knob in knobs.items():
        yield "knobs", f"{name}={_as_option(knob.value)}"
    for word in words:
        name, equals, _ = word.partition("=")
        if word.startswith("+"):
            yield "extra", word[1:]
        elif equals and name not in knobs:
            yield ("knobs" if name.partition(".")[0] in added else "stage"), word


def _words(label: str) -> list[str]:
    """Divide a label at its blanks; a blank inside a value stays."""
    words: list[str] = []
    for word in label.split():
        starts = word[0] in "+-" or "=" in word
        if starts or not words:
            words.append(word)
        else:
            words[-1] += f" {word}"
    return words


def _as_option(value: str) -> str:
    """Write a recorded value as ``--set`` takes it: a tuple by its members."""
    try:
        parts = ast.literal_eval(value) if value.startswith(("(", "[")) else value
    except (ValueError, SyntaxError):
        return value
    return ",".join(map(str, parts)) if isinstance(parts, (tuple, list)) else value


def _ranks(record: ResultRecord) -> list[str]:
    count = ranks_of(record)
    if count == 1:
        return []
    is_cpu = record.cost.hardware.get("devices", "").endswith("cpu")
    return ["--cpu-ranks" if is_cpu else "--gpus", str(count)]
