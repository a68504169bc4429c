"""The command that makes a run again, from its record."""

from __future__ import annotations

import ast
import re
import shlex
from collections.abc import Iterator

from harness.spec import ENGINES
from harness.store.record import EffectiveStage, ResultRecord

_FOLDERS = frozenset({"webvision1", "webvision2", "mini-webvision", "folder", "csv"})
_SYNTHWEB = re.compile(r"synthweb-(\w+) v\d+(, true labels)?$")


def command(record: ResultRecord, *, seed: int | None = None) -> str:
    """Return the ``harness run`` that makes this run again, or the same one with another seed.

    A record does not say where the data lay: the folder is left to fill in, as FOLDER.
    """
    words = ["harness", "run", "--plugin", record.plugin, *_label(record)]
    words += ["--data", data(record)]
    for name in record.without:
        words += ["--without", name]
    seed = record.seed if seed is None else seed
    words += ["--seed", str(seed)] if seed else []
    words += ["--engine", record.cost.engine] if record.cost.engine != ENGINES[0] else []
    words += _ranks(record)
    # Only our own data has a profile that shrinks a recipe.
    words += ["--full-size"] if record.full_size and record.data.plugin == "synthweb" else []
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


def _label(record: ResultRecord) -> Iterator[str]:
    """Yield the options that the label shows: knobs, added plugins, overrides of stages."""
    words = _words(record.label.removeprefix(record.plugin))
    added = [word[1:] for word in words if word.startswith("+")]
    asked = {n: knob for n, knob in record.knobs.items() if knob.origin == "command line"}
    for name, knob in asked.items():
        yield from ("--set", f"{name}={_as_option(knob.value)}")
    for word in words:
        name, equals, _ = word.partition("=")
        if word.startswith("+"):
            yield from ("--with", word[1:])
        elif equals and name not in asked:
            yield from ("--set" if name.partition(".")[0] in added else "--stage", word)


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
    last: EffectiveStage | None = record.stages[-1] if record.stages else None
    count = last.ranks[-1] if last and last.ranks else 1
    if count == 1:
        return []
    is_cpu = record.cost.hardware.get("devices", "").endswith("cpu")
    return ["--cpu-ranks" if is_cpu else "--gpus", str(count)]
