"""From records to verdicts: who is compared with whom, and what cannot be."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from harness.spec import RunSpec
from harness.store.record import EffectiveStage, ResultRecord
from harness_plugins.baseline import Baseline
from harness_plugins.malong import MalongCurriculum
from harness_reproductions.decks.claims import Claim
from harness_reproductions.decks.rows import Row
from harness_reproductions.judging import judge_all
from harness_reproductions.results import results
from harness_reproductions.tables import find_tables
from harness_reproductions.trials import Trials, key_of

SOURCE = "a deck, 'a slide'"
IMAGES = 400
Add = Callable[..., None]

OLD = Row(name="old", recipe=Baseline(), source=SOURCE)
NEW = Row(name="new", recipe=Baseline(epochs=9), source=SOURCE)
THIRD = Row(name="third", recipe=Baseline(lr=0.5), source=SOURCE)
OFFICIAL = Row(name="official", recipe=None, source=SOURCE)


@pytest.fixture
def trials(tmp_path: Path) -> Trials:
    recipes = [row.recipe for row in (OLD, NEW, THIRD)]
    recipes += [MalongCurriculum(model="B"), MalongCurriculum()]
    return Trials(RunSpec(plugin="", home=tmp_path), range(3), recipes)


@pytest.fixture
def add(trials: Trials, small_record: ResultRecord) -> Add:
    """Add a run whose network ``key`` has this share of the test images right."""

    def added(
        recipe: object, seed: int, key: str, share: float, protocol: str = "1 view",
        per_class: tuple[float, ...] = (),
    ) -> None:  # fmt: skip
        random = np.random.default_rng([seed, *key.encode()])
        labels = np.zeros(IMAGES, np.int32)
        classes = np.tile(np.arange(1, 6, dtype=np.int32), (IMAGES, 1))
        classes[random.permutation(IMAGES)[: round(share * IMAGES)], 0] = 0
        buffer = io.BytesIO()
        np.savez(buffer, files=np.arange(IMAGES).astype(str), labels=labels, classes=classes)
        plugin, knobs = key_of(recipe)
        score = small_record.scores[0].model_copy(
            update={
                "split": "test",
                "protocol": protocol,
                "epoch": "last",
                "per_class_top1": per_class,
                "predictions_sha256": hashlib.sha256(buffer.getvalue()).hexdigest(),
            }
        )
        stage = EffectiveStage(name="train", key=f"{key}-{seed}", values={}, origins={}, tricks={},
                               history=())  # fmt: skip
        cost = small_record.cost.model_copy(update={"stage_seconds": {"train": 2.0}})
        record = small_record.model_copy(
            update={"id": f"{key}-{seed}", "seed": seed, "scores": (score,), "stages": (stage,),
                    "members": ("train",), "cost": cost}
        )  # fmt: skip
        path = trials.plain.home / "records" / record.id / f"test-{protocol}-last.npz"
        path = path.with_name(path.name.replace(" ", "-"))
        path.parent.mkdir(parents=True)
        path.write_bytes(buffer.getvalue())
        spec = RunSpec(plugin=plugin, knobs=dict(knobs), seed=seed, home=trials.plain.home)
        assert trials.add(spec, record)

    return added


def claim(better: Row, worse: Row, **more: object) -> Claim:
    text = f"{better.name} beats {worse.name}"
    return Claim(text=text, better=better, worse=worse, source=SOURCE, **more)  # type: ignore[arg-type]


def test_a_difference_beyond_luck_is_judged_by_its_size(trials: Trials, add: Add) -> None:
    for seed in range(3):
        add(OLD.recipe, seed, "old", 0.50 + 0.001 * seed)
        add(NEW.recipe, seed, "new", 0.70 + 0.002 * seed)
    asked = [
        claim(NEW, OLD, stated=20.0),
        claim(NEW, OLD, stated=2.0, metric="top1"),
        claim(OLD, NEW, stated=None),
        claim(OLD, NEW, kind="equal"),
    ]
    found = [finding.verdict for finding in judge_all(asked, trials)]
    assert [verdict.outcome for verdict in found] == [
        "reproduced", "direction only", "contradicted", "contradicted",
    ]  # fmt: skip
    assert found[0].interval is not None
    assert found[0].interval.estimate == pytest.approx(242 / 1200)


def test_what_cannot_be_tested_says_why(trials: Trials, add: Add) -> None:
    add(OLD.recipe, 0, "same", 0.5)
    add(NEW.recipe, 0, "same-too", 0.6)
    spec = RunSpec(plugin="baseline", knobs={"lr": "0.5"}, seed=0)
    assert not trials.add(spec, None, "the loss is nan")
    found = judge_all(
        [claim(NEW, OFFICIAL), claim(THIRD, OLD), claim(NEW, OLD), claim(NEW, OLD)], trials
    )
    reasons = [finding.verdict.reason for finding in found]
    assert reasons[0] == "'official' is not a recipe that we can run"
    assert reasons[1] == "'third' has no run here: the loss is nan"
    assert found[2].verdict.outcome == "inconclusive"  # one seed
    assert reasons[3] == "tested by the same runs as the claim: new beats old (top-5)"


def test_recipes_that_shrink_to_one_training_are_not_compared(trials: Trials, add: Add) -> None:
    add(OLD.recipe, 0, "same", 0.5)
    record = trials[OLD.recipe].records[0]
    trials.add(RunSpec(plugin="baseline", knobs={"epochs": "9"}, seed=0), record)
    (finding,) = judge_all([claim(NEW, OLD)], trials)
    assert finding.verdict.reason == "both sides shrink to the same network and training here"


def test_categories_are_counted_as_on_the_slide(trials: Trials, add: Add) -> None:
    worse, better = MalongCurriculum(model="B"), MalongCurriculum()
    for seed, (low, high) in enumerate(
        (((0.5, 0.5, 0.5), (0.7, 0.5, 0.1)), ((0, 1, 0), (0, 1, 0)))
    ):
        add(worse, seed, "b", 0.5, "10 views", low)
        add(better, seed, "d", 0.6, "10 views", high)
    found = results(find_tables("malong/table1"), [], trials)
    (categories,) = found["categories"]
    assert categories["published"] == [668, 195, 137]
    assert categories["measured"] == [1, 1, 1]
    assert found["costs"] == []  # nobody asked for their team's tables
    assert len(results(find_tables("bigvideo"), [], trials)["costs"]) == 7
    rows = {row["name"]: row for row in found["tables"][0]["rows"]}
    assert rows["Model-D"]["measured"]["top1"]["mean"] == pytest.approx(60)
    assert rows["Model-A"]["measured"] == {}
    assert (found["runs"], found["stages"], found["training_seconds"]) == (4, 4, 8.0)
