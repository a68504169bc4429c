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


def test_each_trick_is_left_out_and_added_alone_where_that_can_be(pci: RunSpec) -> None:
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
    baseline = replace(pci, plugin="baseline")
    others = ("ReweightClasses", "SmoothLabels")
    alone = replace(baseline, extra=("pci",), without=others)
    assert mixup.alone.spec is not None
    assert replace(mixup.alone.spec, without=tuple(sorted(mixup.alone.spec.without))) == alone
    assert mixup.alone.against == baseline


def test_what_the_baseline_cannot_be_lent_is_added_to_the_methods_own_stages(pci: RunSpec) -> None:
    found = rows(pci)
    names = ("ReweightClasses", "MixUp", "SmoothLabels")
    assert found["WeighByModel"].alone == Variant(
        spec=replace(pci, without=names),
        against=replace(pci, without=(*names, "WeighByModel")),
        base="its own stages",
    )
    assert found["MixUp"].alone.base == "baseline"
    assert found["MultiCrop"].alone == Variant(reason="baseline has it already")
    assert found["MultiCrop"].trick.stages == ()
    stronger = replace(pci, knobs={"mixup_alpha": "0.5"})  # a lent method has its defaults
    other = rows(stronger)["MixUp"].alone
    assert other.base == "its own stages"
    assert other.spec is not None
    assert "MixUp" not in other.spec.without
    four = rows(replace(pci, knobs={"ensemble": "four_networks"}))["MultiScale"].alone
    assert four.base == "its own stages"


def test_the_baseline_gets_the_methods_data_size_and_overrides(pci: RunSpec) -> None:
    spec = replace(
        pci,
        data=DataSpec(),
        without=("ReweightClasses",),
        overrides=(*ONCE, Override("resnet101-train", "lr", "0.3")),
    )
    alone = rows(spec)["MixUp"].alone
    assert alone.against is not None
    assert alone.against.data == DataSpec(name="synthweb", path="small")
    assert alone.against.overrides == ONCE
    assert "ReweightClasses" not in rows(spec)


def test_runs_are_made_once_and_seed_by_seed(pci: RunSpec) -> None:
    runs = ablation(replace(pci, seed=4), 2).runs
    # pci, five without, the baseline and three alone, bare pci and WeighByModel alone
    assert [spec.seed for spec in runs] == [4] * 12 + [5] * 12
    assert [replace(spec, seed=5) for spec in runs[:12]] == list(runs[12:])
    assert runs[0] == replace(pci, seed=4)


def test_the_cost_counts_shared_stages_once(pci: RunSpec) -> None:
    cost = cost_of(ablation(pci, 1))
    # Two stages each for pci and four of its variants (without WeighByModel the second is another,
    # without MultiCrop none is, and the first is shared by both), the baseline's and three alone.
    # Bare pci begins with the baseline's stage, and so does WeighByModel alone.
    assert (cost.runs, cost.finished_runs, cost.finished_stages) == (12, 0, 0)
    assert cost.stages == 2 + 3 * 2 + 1 + 1 + 3 + 2
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
    with pytest.raises(HarnessError, match="no run could be made; the first says: the disk is"):
        outcomes.split(None)
