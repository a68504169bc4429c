"""One spelling of what a user asked for: a run has one label, one row of the board and one id."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any, get_type_hints

from harness.assembly.recipe import OVERRIDABLE
from harness.knobs import knobs_of, parse_value, spelled
from harness.spec import RunSpec
from harness.values import Stage


def spelled_once(spec: RunSpec, plugins: Mapping[str, Any]) -> RunSpec:
    """Return the spec with each value as the harness writes it, in one order.

    ``--set plus=yes`` and ``plus=true``, ``lr=.1`` and ``lr=0.1`` are one run, and so are options
    in another order; a field of one stage outweighs that of all. ``plugins`` are the classes of the
    method and the added plugins by name. Paths stay as they are. Raises HarnessError for
    a value that does not fit.
    """
    hints = get_type_hints(Stage) if spec.overrides else {}  # a sixth of an activation
    knobs = dict(_knob(spec.plugin, key, text, plugins) for key, text in spec.knobs.items())
    overrides = (
        one._replace(text=_spelled(f"--stage {one.field}", hints[one.field], one.text))
        if one.field in OVERRIDABLE
        else one
        for one in spec.overrides
    )
    return dataclasses.replace(
        spec,
        knobs=knobs,
        overrides=tuple(sorted(overrides)),
        without=tuple(sorted(set(spec.without))),
    )


def _knob(method: str, key: str, text: str, plugins: Mapping[str, Any]) -> tuple[str, str]:
    name, _, knob = key.rpartition(".")
    name = name or method
    annotation = knobs_of(plugins[name])[knob].annotation
    text = _spelled(f"{name}: knob {knob}", annotation, text)
    return (knob if name == method else key), text


def _spelled(what: str, annotation: Any, text: str) -> str:
    value = parse_value(what, annotation, text)
    parts = value if isinstance(value, tuple) else (value,)
    # A label keeps a path as it was written: another user has another home folder.
    return text if any(isinstance(part, Path | dict) for part in parts) else spelled(value)
