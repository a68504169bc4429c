"""Stages that teach, pre-train on keywords, differ by their draw, or are tested together."""

from __future__ import annotations

import gc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from harness.store.record import ResultRecord
from harness.store.record_files import read_record

pytestmark = pytest.mark.slow

Call = Callable[..., Any]
TINY = ("--data", "synthweb:tiny", "--stage", "epochs=1")

METHOD = '''
from dataclasses import dataclass, replace
import numpy as np
import torch
from harness.hookspecs import hookimpl
from harness.samples import Samples, Targets
from harness.values import Batch, Loss, Plan, Stage

@dataclass(frozen=True, kw_only=True)
class Initials:
    """Tag every picture with the first letter of its title, of two."""
    def __call__(self, samples):
        places = np.array([int(text.title[:1].lower() > "m") for text in samples.texts()], np.int32)
        targets = Targets(places[:, None], np.ones((len(samples), 1), np.float32))
        return samples.assign(targets=targets, target_names=("a-m", "n-z"))

@dataclass(frozen=True, kw_only=True)
class ByTeacher:
    """The teachers' mean answer is the target."""
    def __call__(self, loss):
        def taught(logits, batch):
            assert batch.teacher_logits.shape[1:] == logits.shape
            assert not batch.teacher_logits.requires_grad
            targets = batch.teacher_logits.softmax(-1).mean(0)
            return loss(logits, replace(batch, targets=targets))
        return taught

FIRST, SAME = Stage(name="first"), Stage(name="second")
SECOND = replace(SAME, draw=1)
TAGS = Stage(name="tags", noise=(Initials(),))

def pupil(*teachers):
    return Stage(name="pupil", teachers=teachers, loss=(ByTeacher(),))

PLANS = {
    "teachers": Plan(stages=(FIRST, SECOND, pupil(FIRST, SECOND))),
    "keywords": Plan(stages=(TAGS, Stage(name="tuned", start=TAGS, head="new"))),
    "tested": Plan(stages=(TAGS,)),
    "seen": Plan(stages=(TAGS, Stage(name="pupil", sees=(TAGS,)))),
    "taught": Plan(stages=(TAGS, pupil(TAGS))),
    "stranger": Plan(stages=(FIRST,), members=(Stage(name="frist"),)),
    "later": Plan(stages=(pupil(FIRST), FIRST)),
    "twins": Plan(stages=(FIRST, SAME), members=(FIRST, SAME)),
}
for combine in ("mean", "vote", "vote_mean_logits", "learned"):
    PLANS[combine] = Plan(stages=(FIRST, SECOND), members=(FIRST, SECOND), combine=combine)

@dataclass(frozen=True, kw_only=True)
class Plugin:
    graph: str = "teachers"

    @hookimpl
    def plan(self):
        return PLANS[self.graph]
'''


@pytest.fixture
def run(call: Call, install: Callable[..., Path], tiny_home: Path) -> Callable[..., ResultRecord]:
    install("graphs", METHOD)

    def run_graph(graph: str, *more: str) -> ResultRecord:
        before = set((tiny_home / "records").glob("*.json"))
        ended = call("run", "--plugin", "graphs", "--set", f"graph={graph}", *TINY, *more)
        assert ended.status == 0, ended
        (new,) = set((tiny_home / "records").glob("*.json")) - before
        return read_record(new)

    return run_graph


def test_a_stage_is_taught_by_earlier_ones(run: Callable[..., ResultRecord]) -> None:
    record = run("teachers")
    assert record.stages[2].values["teachers"] == "('first', 'second')"
    assert len({stage.key for stage in record.stages}) == 3
    first, second = (stage.history[0]["loss"] for stage in record.stages[:2])
    assert first != second  # equal stages of another draw


def test_keywords_are_pre_trained_on_and_the_head_is_drawn_anew(
    run: Callable[..., ResultRecord],
) -> None:
    record = run("keywords")
    tags, tuned = record.stages
    assert "val_top1" not in tags.history[0]
    assert tags.history[0]["loss"] < 1.2  # near log 2: two keywords
    assert "val_top1" in tuned.history[0]
    assert record.members == ("tuned",)


@pytest.mark.parametrize(
    ("graph", "told"),
    [
        ("tested", "predicts 2 keywords, so it cannot be tested"),
        ("seen", "a stage that predicts 2 keywords cannot be seen"),
        ("taught", "stage 'tags' predicts keywords, so it cannot teach classes"),
        (
            "stranger",
            "its plan tests needs 'frist', which is not an earlier stage (earlier: first)",
        ),
        ("later", "stage 'pupil' needs 'first', which is not an earlier stage"),
    ],
)
def test_a_graph_that_cannot_be_is_one_line(
    call: Call, install: Callable[..., Path], tiny_home: Path, graph: str, told: str
) -> None:
    install("graphs", METHOD)
    ended = call("run", "--plugin", "graphs", "--set", f"graph={graph}", *TINY)
    assert ended.status == 2
    assert told in ended.err.splitlines()[-1]


def test_members_are_tested_together(run: Callable[..., ResultRecord], tiny_home: Path) -> None:
    records = {name: run(name) for name in ("mean", "vote", "vote_mean_logits", "learned")}
    assert len({record.id for record in records.values()}) == 4
    for combine, record in records.items():
        assert (record.members, record.combine) == (("first", "second"), combine)
        assert {score.split for score in record.scores} == {"val", "test"}
    kept = {}
    for name, record in records.items():
        with np.load(tiny_home / "records" / record.id / "test-1-view-last.npz") as arrays:
            kept[name] = arrays["probabilities"]
            assert arrays["labels"].shape == (60,)
    assert not np.array_equal(kept["mean"], kept["learned"])
    twins = run("twins")  # one stage under two names: its ensemble is itself
    assert len({stage.key for stage in twins.stages}) == 1


def test_an_ensemble_gives_the_same_record_after_its_own_was_lost(
    run: Callable[..., ResultRecord], tiny_home: Path
) -> None:
    before = run("learned")
    (tiny_home / "records" / f"{before.id}.json").unlink()
    after = run("learned")
    assert after.model_dump(exclude={"cost"}) == before.model_dump(exclude={"cost"})


HELD = """
import gc
from dataclasses import dataclass
from torch import nn
from harness import Ema, Plan, Stage
from harness.hookspecs import hookimpl

class Network(nn.Module):
    def __init__(self, outputs):
        super().__init__()
        self.head = nn.Linear(3, outputs)
        self.itself = [self]

    def forward(self, images):
        return self.head(images.mean((2, 3)))

@dataclass(frozen=True, kw_only=True)
class Plugin:
    @hookimpl
    def plan(self):
        return Plan(stages=(Stage(name="train", average=Ema()),))

    @hookimpl
    def build_model(self, stage, num_outputs):
        return Network(num_outputs)

    @hookimpl
    def on_stage_start(self):
        assert held(), "the network is not seen"

    @hookimpl
    def on_stage_end(self):
        print(len(held()), "networks are held")

def held():
    return [one for one in gc.get_objects() if type(one) is Network]
"""


@pytest.mark.parametrize("engine", ["torch", "deepspeed"])
def test_no_network_outlives_its_stage_even_if_it_refers_to_itself(
    call: Call, install: Callable[..., Path], tiny_home: Path, engine: str
) -> None:
    install("held", HELD)
    gc.disable()  # otherwise Python might happen to look for cycles
    try:
        ended = call("run", "--plugin", "held", *TINY, "--engine", engine)
    finally:
        gc.enable()
    assert ended.status == 0, ended
    assert ended.out.startswith("0 networks are held")
