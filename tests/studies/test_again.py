"""A run again: the command and the choices that a record says it was made with."""

from __future__ import annotations

from typing import Any

import pytest

from harness.api import spec_of
from harness.store.record import Data, Knob, ResultRecord
from harness.studies.again import asked, command


@pytest.fixture
def made(small_record: ResultRecord) -> Any:
    """A record with this label and these knobs: name, value and origin."""

    def make(label: str, knobs: dict[str, tuple[str, str]], **values: Any) -> ResultRecord:
        return small_record.model_copy(
            update={
                "label": label,
                "knobs": {
                    name: Knob(value=v, origin=o, source="") for name, (v, o) in knobs.items()
                },
                "without": (),
                "full_size": False,
                "data": Data(
                    plugin="synthweb",
                    edition="synthweb-small v1",
                    fingerprint="f",
                    classes=2,
                    train_samples=20,
                    asked="synthweb:small",
                ),
                **values,
            }
        )

    return make


CASES = [
    ("baseline", {}, {}, "harness run --plugin baseline --data synthweb:small"),
    (
        "pci row=B2 scales=1.0,1.5 epochs=1 train.lr=0.2 +mine -MixUp",
        {
            "row": ("B2", "command line"),
            "scales": ("(1.0, 1.5)", "command line"),
            "epochs": ("75", "assumed"),
        },
        {"plugin": "pci", "without": ("MixUp",), "seed": 3},
        "harness run --plugin pci --set row=B2 --set scales=1.0,1.5 --stage epochs=1 "
        "--stage train.lr=0.2 --with mine --data synthweb:small --without MixUp --seed 3",
    ),
    (
        "baseline path=/a b/c",
        {"path": ("/a b/c", "command line")},
        {},
        "harness run --plugin baseline --set 'path=/a b/c' --data synthweb:small",
    ),
]


@pytest.mark.parametrize(("label", "knobs", "values", "expected"), CASES)
def test_the_command_makes_the_run_again(
    made: Any, label: str, knobs: Any, values: Any, expected: str
) -> None:
    assert command(made(label, knobs, **values)) == f"{expected} --engine torch"


@pytest.mark.parametrize("label", [case[0] for case in CASES if "path" not in case[0]])
def test_what_was_asked_for_has_the_label_again(made: Any, label: str) -> None:
    _, knobs, values, _ = next(case for case in CASES if case[0] == label)
    spec = spec_of(**asked(made(label, knobs, **values)))
    assert sorted(spec.label.split()) == sorted(label.split())
    assert (spec.plugin, spec.seed) == (values.get("plugin", "baseline"), values.get("seed", 0))
    assert spec.engine == "torch"
