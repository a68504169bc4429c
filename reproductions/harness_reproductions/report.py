"""One self-contained HTML page of a reproduction: text, tables and plots."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from harness.pages.plots import Effect, forest, stack
from harness.pages.render import single_page
from harness.scores import metric_label
from harness.store.files import write_text

PAGE = "index.html"
COLOUR_OF = {
    "reproduced": "better",
    "direction only": "s0",
    "contradicted": "worse",
    "inconclusive": "undecided",
    "not run yet": "pale",
    "not tested at this scale": "pale",
}
"""The class of the pages' style for each verdict."""


def write_report(folder: Path, found: Mapping[str, Any]) -> Path:
    """Write the page of ``results`` into ``folder``, whole or not at all; return its path.

    The page loads no other file. Raises HarnessError if the folder cannot be written.
    """
    path = folder / PAGE
    write_text(path, page(found))
    return path


def page(found: Mapping[str, Any]) -> str:
    """Return the page; the same results give the same bytes."""
    tested = [claim for claim in found["claims"] if claim["measured"]]
    counts = [(name, count, COLOUR_OF[name]) for name, count in found["verdicts"].items()]
    said = ", ".join(f"{name} {count}" for name, count, _ in counts)
    values = {
        "found": found,
        "colours": COLOUR_OF,
        "counts_picture": stack(counts, label=f"Claims by verdict: {said}"),
        "claims_picture": forest(
            [_effect(claim) for claim in tested],
            x="points of accuracy; dot: measured, with its interval; diamond: published",
            label=f"Measured differences of {len(tested)} claims with their intervals",
        )
        if tested
        else "",
    }
    return single_page(Path(__file__).parent, "report.html", values)


def _effect(claim: Mapping[str, Any]) -> Effect:
    measured = claim["measured"]
    return Effect(
        f"{claim['claim']}, {metric_label(claim['metric'])}",
        (measured["mean"], measured["low"], measured["high"]),
        claim["published"],
        COLOUR_OF[claim["verdict"]],
    )
