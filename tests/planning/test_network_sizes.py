"""Sizes of networks: counted once for each network, from the network itself."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Call = Callable[..., Any]
TINY = ("--plugin", "malong_curriculum", "--data", "synthweb:tiny", "--images-per-second", "50")


def disk(call: Call, *asked: str) -> dict[str, int]:
    outcome = call("estimate", *TINY, *asked, "--json")
    assert outcome.status == 0, outcome.err
    found: dict[str, int] = json.loads(outcome.out)["disk"]
    return found


def forget_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever builds a network fails from here on."""
    monkeypatch.setitem(sys.modules, "harness.planning.step_timer", None)


def test_a_network_is_counted_once(
    call: Call, tiny_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = disk(call)
    assert first["weights"] > 0
    forget_torch(monkeypatch)
    assert disk(call) == first


def test_another_network_is_counted_anew(call: Call, tiny_home: Path) -> None:
    plain = disk(call)["weights"]
    assert disk(call, "--stage", "backbone=resnet18")["weights"] > 10 * plain
    assert disk(call, "--set", "stem=multi_scale")["weights"] > plain
    assert disk(call)["weights"] == plain


@pytest.mark.parametrize("damage", [lambda text: text.replace("1", "2"), lambda _: "{}"])
def test_a_damaged_file_is_counted_anew(
    call: Call, tiny_home: Path, damage: Callable[[str], str]
) -> None:
    first = disk(call)
    path = tiny_home / "network-sizes.json"
    whole = path.read_text()
    path.write_text(damage(whole))
    assert disk(call) == first
    assert path.read_text() == whole
