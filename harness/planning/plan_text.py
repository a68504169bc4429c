"""A planned run as text: stages, values with their origins, tricks, cost and test."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from harness.planning.throughput import Span


def plan_text(found: Mapping[str, Any]) -> str:
    """Return the plan as text."""
    return "\n".join(_lines(found))


def _lines(found: Mapping[str, Any]) -> Iterator[str]:
    from tabulate import tabulate

    yield f"{found['label']}, seed {found['seed']}, on {found['data']}"
    yield f"plugins, in order: {', '.join(found['plugins'])}\n"
    yield "knobs"
    knobs = [(k["name"], k["value"], k["origin"], k["source"]) for k in found["knobs"]]
    yield _indented(tabulate(knobs, ("knob", "value", "origin", "source"), "plain"))
    for stage in found["stages"]:
        yield f"\nstage {stage['name']}  [{stage['state']}]  {stage['key'][:12]}"
        span = f"; {Span(**stage['seconds'])}" if stage["seconds"] else ""
        yield f"  {stage['graph']}{span}"
        values = [(v["name"], v["value"], v["origin"]) for v in stage["values"]]
        yield _indented(tabulate(values, ("field", "value", "origin"), "plain"))
        for slot, tricks in stage["tricks"].items():
            yield from (f"  {slot}: {trick}" for trick in tricks)
    yield f"\ntraining time: {_time(found)}"
    yield "\ntest"
    if found["combine"]:
        yield f"  together ({found['combine']}): {', '.join(found['members'])}"
    yield from (f"  testing: {trick}" for trick in found["testing"])
    yield from (f"  {protocol}" for protocol in found["protocols"])
    yield f"  record: {found['record']} [{found['record_state']}]"


def _time(found: Mapping[str, Any]) -> str:
    if found["time"] is None:
        return "unknown: no earlier run used this network; harness estimate --measure times it"
    whole, left = (Span(**found["time"][name]) for name in ("whole", "left"))
    cached = f", {left if left.estimate else 'nothing'} of it left" if left != whole else ""
    return f"{whole}{cached}, on one device: {found['time']['hardware']}"


def _indented(text: str) -> str:
    return "\n".join(f"  {line}" for line in text.splitlines())
