"""How records spell the data set of a run."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.assembly.data_sets import spelled, spelled_as_recorded
from harness.spec import DataSpec


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("synthweb", "synthweb:small"),
        ("synthweb:tiny", "synthweb:tiny"),
        ("synthweb:tiny?labels=found&seed=00", "synthweb:tiny"),
        ("synthweb:tiny?seed=1&labels=true", "synthweb:tiny?seed=1&labels=true"),
        ("synthweb:tiny?labels=true&seed=1", "synthweb:tiny?seed=1&labels=true"),
        ("webvision1:/data/webvision", "webvision1"),
        ("webvision1:/data?source=google&classes=0-49", "webvision1?classes=0-49&source=google"),
        ("webvision1:/data?ilsvrc=/data/ilsvrc", "webvision1"),
        ("WebVision 1.0", "WebVision 1.0"),
        ("synthweb:tinny", "synthweb:tinny"),
    ],
)
def test_equal_data_has_one_spelling_without_folders(
    tmp_path: Path, text: str, expected: str
) -> None:
    assert spelled_as_recorded(text, tmp_path) == expected


def test_a_data_set_of_others_is_spelled_without_its_folder() -> None:
    assert spelled(DataSpec.parse("mine:/data/mine?b=2&a=1"), object()) == "mine?a=1&b=2"
