"""What a user can correct is said in one line that helps."""

from __future__ import annotations

import doctest
import importlib
from pathlib import Path

from harness import errors
from harness.errors import HarnessError, unknown

ROOT = Path(__file__).parents[1]


def test_every_error_of_ours_is_one_that_the_command_line_prints() -> None:
    kinds = [kind for kind in vars(errors).values() if isinstance(kind, type)]
    assert kinds
    assert all(issubclass(kind, HarnessError) for kind in kinds if kind.__name__.endswith("Error"))


def test_the_nearest_is_suggested_and_all_are_listed() -> None:
    assert unknown("plugin", "pcl", ["pci", "huawei"], listing="installed") == (
        "unknown plugin 'pcl'; did you mean 'pci'? installed: huawei, pci"
    )


def test_a_long_list_is_cut_to_what_is_near() -> None:
    names = [f"method epochs={number} backbone=resnet{number}" for number in range(100)]
    said = unknown("run", "method epochs=7 backbone=resnet8", names)
    assert len(said) < 1100
    assert said.endswith("... (100 in all)")
    assert "did you mean 'method epochs=" in said
    few = [f"{'x' * 300}{number}" for number in range(5)]
    assert unknown("run", "y", few).endswith(", ... (5 in all)")
    assert unknown("run", "y", ["x" * 2000]).endswith("x" * 9)


def test_nothing_is_suggested_if_nothing_is_near() -> None:
    assert unknown("stage", "zzzz", ["train"]) == "unknown stage 'zzzz'; known: train"


def test_nothing_known_is_said() -> None:
    assert unknown("trick", "MixUp", []) == "unknown trick 'MixUp'; known: none"


def test_what_was_asked_cannot_break_the_line() -> None:
    assert "\n" not in unknown("plugin", "a\nb", ["a"])


def test_the_examples_in_docstrings_hold() -> None:
    pages = [
        path for path in sorted((ROOT / "harness").rglob("*.py")) if ">>> " in path.read_text()
    ]
    names = [".".join(path.relative_to(ROOT).with_suffix("").parts) for path in pages]
    assert "harness.errors" in names
    assert {n: doctest.testmod(importlib.import_module(n)).failed for n in names} == dict.fromkeys(
        names, 0
    )
