"""The parts of a stage and its tricks that are in the stage's key."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from harness.assembly.contract import Contribution
from harness.assembly.descriptions import describe
from harness.errors import HarnessError, PluginError
from harness.store.contents import content_of
from harness.values import SLOTS, Stage, Trick, is_downloaded


def sees_samples(stage: Stage, noise: Sequence[Trick[Any]]) -> bool:
    """Return whether anything but our own samplers, which read no texts, is handed the samples."""
    return bool(noise) or not type(stage.sampler).__module__.startswith("harness.")


def encoders_of(tricks: Sequence[Trick[Any]], attribute: str = "encoder") -> list[str]:
    """Return the ids of encoders that tricks name in this attribute: a text or a tuple.

    All are in ``encoder``; those that encode pictures are in ``picture_encoder`` too.
    """
    names: set[str] = set()
    for trick in tricks:
        named = getattr(trick, attribute, None) or ()
        names |= {named} if isinstance(named, str) else set(named)
    return sorted(names)


@dataclass(frozen=True)
class _Key:
    """Replaces an earlier stage that a trick refers to."""

    key: str


def with_keys(given: Contribution[Any], stage: Stage, keys: Mapping[str, str]) -> Any:
    """Return the trick with the keys of the stages that its fields refer to.

    Raises PluginError if it refers to one that ``stage`` does not see.
    """
    trick = given.trick
    if not dataclasses.is_dataclass(trick) or isinstance(trick, type):
        return trick
    seen = {known.name for known in stage.sees}

    def of(value: Any) -> Any:
        if isinstance(value, tuple) and any(isinstance(part, Stage) for part in value):
            return tuple(map(of, value))
        if not isinstance(value, Stage):
            return value
        if value.name not in seen:
            raise PluginError(f"{given.who} refers to {value}; add it to sees= of its stage")
        return _Key(keys[value.name])

    fields = {field.name: getattr(trick, field.name) for field in dataclasses.fields(trick)}
    changed = {name: of(value) for name, value in fields.items()}
    references = {name: value for name, value in changed.items() if value is not fields[name]}
    return replace(trick, **references) if references else trick


def described_stage(
    stage: Stage, keys: Mapping[str, str], noise: Sequence[Trick[Any]]
) -> dict[str, Any]:
    """Describe a stage by what it does, without its name and tricks.

    The names of the stages that it sees count if a noise trick or the sampler is not ours: its code
    may ask for a stage by name. Ours refer to stages by value only.
    """
    named = not all(
        type(part).__module__.startswith("harness.") for part in (*noise, stage.sampler)
    )
    apart = ("name", "start", "sees", "teachers", "weights", *SLOTS)
    names = [field.name for field in dataclasses.fields(stage) if field.name not in apart]
    values = {name: describe(getattr(stage, name), f"Stage.{name}") for name in names}
    values["start"] = keys[stage.start.name] if stage.start else None
    values["sees"] = [[seen.name if named else "", keys[seen.name]] for seen in stage.sees]
    values["teachers"] = [keys[teacher.name] for teacher in stage.teachers]
    return {"fields": values, "class": describe(type(stage), "Stage")}


def weights_identity(stage: Stage) -> Any:
    """Return what identifies the weights that a stage begins with: a file's content, not its path.

    Raises HarnessError if the file cannot be read. Those of "timm" are identified by the provider
    of networks, which knows what they hold.
    """
    if stage.weights is None or is_downloaded(stage.weights):
        return stage.weights
    content = content_of(Path(stage.weights).expanduser())
    if "file" not in content:
        raise HarnessError(
            f"stage {stage.name!r}: weights={stage.weights} is a folder; name a file"
        )
    return content["file"][1]
