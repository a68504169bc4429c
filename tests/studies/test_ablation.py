"""Which runs tell what a method's tricks are worth, and what they say."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from harness.errors import HarnessError
from harness.spec import DataSpec, Override, RunSpec
from harness.studies.ablation import AblationRow, Variant, ablation, cost_of
from harness.studies.contributions import Outcomes

TINY = DataSpec(name="synthweb", path="tiny")
ONCE = (Override("", "epochs", "1"),)


@pytest.fixture
def pci(tiny_home: Path) -> RunSpec:
    return RunSpec(plugin="pci", data=TINY, overrides=ONCE, engine="torch", home=tiny_home)


def rows(spec: RunSpec) -> dict[str, AblationRow]:
    return {row.trick.name: row for row in ablation(spec, 1).rows}


def test_each_trick_is_left_out_and_added_alone_if_possible(pci: RunSpec) -> None:
    found = rows(pci)
    assert list(found) == [
        "ReweightClasses",
        "MixUp",
        "SmoothLabels",
        "WeighByModel",
        "MultiCrop",
    ]
    mixup = found["MixUp"]
    assert mixup.trick.slots == ("batch",)
    assert mixup.trick.stages == ("resnet101-train", "resnet101-retrain-1")  # one row for both
    assert mixup.left_out == Variant(spec=replace(pci, without=("MixUp",)), against=pci, sign=-1)
    # MixUp is a trick of pci's own stages, so the baseline cannot be given it.
    others = ("ReweightClasses", "SmoothLabels", "WeighByModel")
    assert mixup.alone == Variant(
        spec=replace(pci, without=others),
        against=replace(pci, without=("ReweightClasses", "MixUp", "SmoothLabels", "WeighByModel")),
        base="its own stages",
    )
    assert found["MultiCrop"].alone == Variant(reason="baseline has it already")
    assert found["MultiCrop"].trick.stages == ()
    four = rows(replace(pci, knobs={"ensemble": "four_networks"}))["MultiScale"].alone
    assert four.base == "its own stages"


LENT = """
from dataclasses import dataclass
from harness.hookspecs import hookimpl
from harness.knobs import assumed
from harness.tricks.batch.label_smoothing import SmoothLabels
from harness.tricks.batch.mixup import MixUp
from harness.values import Plan, Stage
@dataclass(frozen=True, kw_only=True)
class Plugin:
    alpha: float = assumed(0.2, "a test")
    @hookimpl
    def plan(self):
        return Plan(stages=(Stage(name="train"),))
    @hookimpl
    def batch_tricks(self):
        return (MixUp(alpha=self.alpha), SmoothLabels(smoothing=0.1))
"""


def test_a_trick_of_a_hook_is_added_to_the_baseline(pci: RunSpec, install) -> None:
    install("lent", LENT)
    lent = replace(
        pci,
        plugin="lent",
        data=DataSpec(),
        overrides=(*ONCE, Override("train", "lr", "0.3")),
    )
    alone = rows(lent)["MixUp"].alone
    baseline = replace(
        lent, plugin="baseline", data=DataSpec(name="synthweb", path="small"), overrides=ONCE
    )
    assert alone == Variant(
        spec=replace(baseline, extra=("lent",), without=("SmoothLabels",)),
        against=baseline,
        base="baseline",
    )
    assert list(rows(replace(lent, without=("SmoothLabels",)))) == ["MixUp"]
    stronger = replace(lent, knobs={"alpha": "0.5"})  # an added plugin has its knobs' defaults
    other = rows(stronger)["MixUp"].alone
    assert other.base == "its own stages"
    assert other.spec is not None
    assert "MixUp" not in other.spec.without


def test_runs_are_made_once_and_seed_by_seed(pci: RunSpec) -> None:
    runs = ablation(replace(pci, seed=4), 2).runs
    # pci, five variants with one trick left out, bare pci, and four tricks alone
    assert [spec.seed for spec in runs] == [4] * 11 + [5] * 11
    assert [replace(spec, seed=5) for spec in runs[:11]] == list(runs[11:])
    assert runs[0] == replace(pci, seed=4)


def test_the_cost_counts_shared_stages_once(pci: RunSpec) -> None:
    cost = cost_of(ablation(pci, 1))
    # Two stages each for pci and for three of its variants. Without WeighByModel only the second
    # stage differs, and without MultiCrop neither does. Bare pci and three tricks alone have two
    # stages each; WeighByModel alone shares its first stage with bare pci.
    assert (cost.runs, cost.finished_runs, cost.finished_stages) == (11, 0, 0)
    assert cost.stages == 2 + 3 * 2 + 1 + 2 + 3 * 2 + 1
    assert cost.seconds is None


def test_a_method_without_tricks_has_nothing_to_leave_out(harness_home: Path, install) -> None:
    install(
        "bare",
        """
        from harness.hookspecs import hookimpl
        from harness.values import Plan, Stage
        class Plugin:
            @hookimpl
            def plan(self):
                return Plan(stages=(Stage(name="train"),))
        """,
    )
    with pytest.raises(HarnessError, match="bare has no trick to leave out"):
        ablation(RunSpec(plugin="bare", data=TINY, home=harness_home), 1)


def test_a_run_that_was_not_made_is_a_reason(pci: RunSpec) -> None:
    row = ablation(pci, 1).rows[0]
    outcomes = Outcomes([(pci, None, "the disk is full")])
    worth = outcomes.contribution(row.left_out, (0,), "test")
    assert worth.intervals == {}
    assert worth.reason == "pci -ReweightClasses epochs=1, seed 0: was not run"
    assert outcomes.contribution(Variant(reason="why"), (0,), "test").reason == "why"
    with pytest.raises(HarnessError, match="no run finished; the first one failed: the disk is"):
        outcomes.split(None)
