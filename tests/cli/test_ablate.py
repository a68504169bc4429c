"""``harness ablate`` from end to end on a method of one's own."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from harness.store.record_files import read_records
from harness.testing.predictions import load_predictions

Call = Callable[..., Any]
TINY = ("--data", "synthweb:tiny", "--engine", "torch", "--stage", "epochs=1")

METHOD = """
from dataclasses import dataclass, replace
import numpy as np
from harness.hookspecs import hookimpl
from harness.tricks.batch.label_smoothing import SmoothLabels
from harness.values import Plan, Stage

@dataclass(frozen=True)
class KeepFirst:
    count: int
    def __call__(self, samples):
        kept = np.where(samples.rank < self.count, samples.subset, -1)
        return samples.assign(subset=kept.astype(np.int8))

@dataclass(frozen=True)
class NeedsKept:
    def __call__(self, samples):
        if samples.subset.min() == 0:
            from harness.errors import PluginError
            raise PluginError("nothing was left out; put KeepFirst before it")
        return samples

class Plugin:
    @hookimpl
    def plan(self):
        first = Stage(name="first")
        return Plan(stages=(first, replace(first, name="second", start=first, lr=0.01)))
    @hookimpl
    def noise_tricks(self, stage):
        return [KeepFirst(20)] + ([NeedsKept()] if stage.name == "second" else [])
    @hookimpl
    def batch_tricks(self, stage):
        return [SmoothLabels(smoothing=0.2)] if stage.name == "second" else []
"""


@pytest.mark.slow
def test_a_finished_ablation_of_a_method_without_a_trick_is_counted_so(
    call: Call, tiny_home: Path, install
) -> None:
    """SmoothLabels is given, KeepFirst is left out after it, and records have them in order."""
    install("mine", METHOD)
    command = ("ablate", "--plugin", "mine", *TINY, "--seeds", "1", "--without", "SmoothLabels")
    command += ("--without", "NeedsKept")
    assert call(*command).status == 0
    cost = json.loads(call(*command, "--dry-run", "--json").out)
    assert cost["finished_runs"] == cost["runs"] > 1


@pytest.mark.slow
def test_an_ablation_from_end_to_end(call: Call, tiny_home: Path, install) -> None:
    install("mine", METHOD)
    ablate = ("ablate", "--plugin", "mine", *TINY, "--seeds", "2")

    planned = json.loads(call(*ablate, "--dry-run", "--json").out)
    assert (planned["runs"], planned["finished_runs"], planned["seconds"]) == (18, 0, None)
    assert not (tiny_home / "records").exists()

    outcome = call(*ablate)
    assert outcome.status == 0, outcome.err
    # A seed: both stages of the method, both without KeepFirst, the second alone without each of
    # the others; three second stages with one trick or none after the baseline's, which is the
    # first stage without KeepFirst; and baseline with KeepFirst is the first one over again.
    assert "18 runs (0 finished) of 18 different stages (0 finished)" in outcome.err
    assert "run 18 of 18: " in outcome.err
    text = outcome.out
    assert text.startswith("mine epochs=1 on synthweb:tiny, test, seeds 0 to 1")
    reason = "plugin 'mine': NeedsKept in stage 'second': nothing was left out; put"
    assert f"KeepFirst, left out: mine -KeepFirst epochs=1, seed 0: {reason}" in text
    assert f"NeedsKept, alone: mine -KeepFirst -SmoothLabels epochs=1, seed 0: {reason}" in text
    assert "the method's own stages" in text

    again = call(*ablate, "--json")
    assert "14 finished) of" in again.err  # those that cannot be are tried again
    assert "steps" not in again.err
    found = {row["name"]: row for row in json.loads(again.out)["tricks"]}
    assert found["KeepFirst"]["stages"] == ["first", "second"]
    records, _ = read_records(tiny_home / "records")
    assert len(records) == 14

    def right(label: str, seed: int) -> float:
        (record,) = (r for r in records if (r.label, r.seed) == (label, seed))
        views = record.scores[-1].protocol
        return float(load_predictions(tiny_home, record, "test", views).correct(1).mean())

    for trick, part, more, less in (
        ("NeedsKept", "left_out", "mine epochs=1", "mine -NeedsKept epochs=1"),
        ("SmoothLabels", "left_out", "mine epochs=1", "mine -SmoothLabels epochs=1"),
        ("KeepFirst", "alone", "baseline +mine epochs=1", "baseline epochs=1"),
        (
            *("SmoothLabels", "alone", "mine -KeepFirst -NeedsKept epochs=1"),
            "mine -KeepFirst -NeedsKept -SmoothLabels epochs=1",
        ),
    ):
        interval = found[trick][part]["top1"]
        by_hand = [right(more, seed) - right(less, seed) for seed in range(2)]
        assert interval["estimate"] == pytest.approx(sum(by_hand) / 2)
        assert (interval["seeds"], interval["images"]) == (2, 60)
    assert found["NeedsKept"]["left_out"]["top5"]["estimate"] == 0  # it changes nothing

    compared = json.loads(call("compare", "baseline epochs=1", "mine epochs=1", "--json").out)
    # The data lie in the home, so categories have names.
    assert "flamingo" in {category["name"] for category in compared["categories"]}


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--plugin", "min"), "unknown plugin 'min'"),
        (("--plugin", "synthweb"), "does not provide 'plan'"),
        (("--plugin", "pci", "--set", "row=Z"), "knob row must be one of A, B1, B2, C, got 'Z'"),
        (("--plugin", "pci", "--without", "Mixup2"), "unknown trick 'Mixup2'"),
    ],
)
def test_what_a_user_can_correct_is_one_line(
    call: Call, tiny_home: Path, arguments: tuple[str, ...], words: str
) -> None:
    assert words in call("ablate", *arguments, *TINY).error


def test_people_read_what_it_would_cost(call: Call, tiny_home: Path) -> None:
    out = call("ablate", "--plugin", "malong_curriculum", *TINY, "--seeds", "1", "--dry-run").out
    assert out.startswith("malong_curriculum epochs=1 on synthweb:tiny, seed 0\n")
    assert "training time left: unknown: no earlier run used this network" in out
    assert "MultiCrop, alone: no run, baseline has it already" in out
