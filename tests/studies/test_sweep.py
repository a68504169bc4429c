"""Many runs in one process: shared stages, failures that stop nothing, signals that stop all."""

from __future__ import annotations

import functools
from dataclasses import replace
from pathlib import Path

import pytest

from harness.data.synthweb import SynthWeb
from harness.samples import Samples
from harness.spec import DataSpec, Override, RunSpec
from harness.studies.sweep import find_finished, sweep


@pytest.mark.slow
def test_a_sweep_shares_stages_and_outlives_a_run_that_cannot_be(
    tiny_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[str] = []
    load = SynthWeb.load_samples

    @functools.wraps(load)  # with the mark of a hook
    def counted(self: SynthWeb, spec: RunSpec, split: str) -> Samples:
        read.append(split)
        return load(self, spec, split)

    monkeypatch.setattr(SynthWeb, "load_samples", counted)
    first = RunSpec(
        plugin="baseline",
        data=DataSpec(name="synthweb", path="tiny"),
        overrides=(Override("", "epochs", "1"),),
        engine="torch",
        home=tiny_home,
    )
    curriculum = replace(first, plugin="malong_curriculum", knobs={"model": "B"})
    wrong = replace(first, knobs={"crops": "3"})
    told: list[str] = []
    asked = [first, wrong, curriculum, replace(curriculum, knobs={"model": "C"})]
    found = list(sweep(asked, told.append))

    assert [outcome.spec for outcome in found] == asked
    assert found[1].record is None
    assert "baseline: knob crops must be one of 1, 2, 5, 10, got '3'" in found[1].reason
    records = [outcome.record for outcome in found if outcome.record is not None]
    assert len({record.id for record in records}) == 3
    assert records[1].stages[0].key == records[2].stages[0].key
    assert told[0] == "run 1 of 4: baseline epochs=1, seed 0"
    assert len([line for line in told if "failed" in line]) == 1
    again = [outcome.record for outcome in sweep(asked, told.append)]
    assert again == [outcome.record for outcome in found]
    # The data is read once for all runs, and not at all for runs that have no record.
    assert sorted(read) == sorted(2 * ["train", "val", "test", "ilsvrc"])
    read.clear()
    assert [outcome.record for outcome in find_finished(asked)] == again
    assert sorted(read) == sorted(["train", "val", "test", "ilsvrc"])
    read.clear()
    other_seed = list(find_finished([replace(first, seed=1)]))
    assert (other_seed[0].record, other_seed[0].reason) == (None, "not run yet")
    assert read == []
