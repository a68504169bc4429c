"""``harness estimate`` and the time in ``harness plan``: tables, JSON, refusals."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any

import pytest

Call = Callable[..., Any]
TINY = ("--plugin", "baseline", "--data", "synthweb:tiny", "--engine", "torch")


def test_a_given_speed_is_worked_out(call: Call, tiny_home: Path) -> None:
    out = call("estimate", *TINY, "--gpus", "2", "--images-per-second", "train=50").out
    assert out.startswith("baseline on synthweb:tiny: 300 training pictures (counted here), 2 x ")
    assert "9.5 s [9.0, 10.0]" in out  # 900 / 100, over 0.95, 1 and 0.9
    for words in ("disk: ", "without the data set", "memory of one device: ", "assumed: 2 devices"):
        assert words in out


def test_json_holds_it_all(call: Call, tiny_home: Path) -> None:
    asked = ("--images-per-second", "50", "--images", "600", "--json")
    found = json.loads(call("estimate", *TINY, *asked).out)
    (stage,) = found["stages"]
    assert found["size"] == {"train": 600, "tested": 120, "classes": 6, "source": "given"}
    assert stage["kind"]["backbone"] == "test_resnet"
    assert stage["speed"]["source"] == "given"
    assert stage["seconds"] == found["seconds"] == {"estimate": 36.0, "low": 36.0, "high": 36.0}
    assert set(found["disk"]) == {"weights", "samples", "predictions"}


@pytest.mark.slow
def test_steps_are_timed_here(call: Call, tiny_home: Path, monkeypatch) -> None:
    from harness.planning import step_timer

    few = partial(step_timer.StepTimer, seconds=0.0)  # no more steps than it needs
    monkeypatch.setattr(step_timer, "StepTimer", few)
    outcome = call("estimate", *TINY, "--measure")
    assert outcome.status == 0, outcome.err
    assert " steps of 64 pictures, timed here" in outcome.out


@pytest.mark.slow
def test_a_record_tells_plan_and_estimate(call: Call, tiny_home: Path) -> None:
    before = call("plan", *TINY).out
    assert "training time: unknown: no earlier run used this network; harness estimate" in before
    assert json.loads(call("plan", *TINY, "--json").out)["time"] is None
    assert call("run", *TINY, "--stage", "epochs=1").status == 0

    estimated = json.loads(call("estimate", *TINY, "--json").out)
    planned = json.loads(call("plan", *TINY, "--json").out)
    assert estimated["stages"][0]["speed"]["source"] == "one earlier training"
    assert planned["time"]["whole"] == planned["time"]["left"] == estimated["seconds"]
    assert planned["time"]["hardware"] == estimated["hardware"]
    assert planned["stages"][0]["seconds"] == estimated["seconds"]
    assert "training time: " in call("plan", *TINY).out

    done = json.loads(call("plan", *TINY, "--stage", "epochs=1", "--json").out)
    assert done["time"]["left"] == {"estimate": 0, "low": 0, "high": 0}
    assert " of it left, on one device: " in call("plan", *TINY, "--stage", "epochs=1").out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((), "no record shows how fast test_resnet at 32 pixels in fp32 trains: add --measure"),
        (("--images-per-second", "fast"), "--images-per-second 'fast' must be [STAGE=]NUMBER"),
        (("--images-per-second", "train=0"), "must be [STAGE=]NUMBER with a number above 0"),
        (("--images-per-second", "nan"), "must be [STAGE=]NUMBER with a number above 0"),
        (("--images-per-second", "trian=1"), "unknown stage 'trian'; did you mean 'train'?"),
        (("--hardware", "H200"), "unknown hardware 'H200'; in the records: none"),
        (
            ("--data", "webvision1?classes=0-9"),
            "number of training pictures of webvision1?classes=0-9",
        ),
        (("--data", "webvision2:/no/such"), "/no/such"),
        (("--plugin", "basline"), "unknown plugin 'basline'; did you mean 'baseline'?"),
    ],
)
def test_what_a_user_can_correct_is_one_line(
    call: Call, tiny_home: Path, arguments: tuple[str, ...], words: str
) -> None:
    given = (*TINY, *arguments)
    options = dict(zip(given[::2], given[1::2], strict=True))
    assert words in call("estimate", *chain(*options.items())).error
