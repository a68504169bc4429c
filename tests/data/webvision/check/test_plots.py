"""The picture of a data set: the same bytes each time, a clear word where it cannot be drawn."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from harness.data.webvision.check.one_pass import check
from harness.data.webvision.check.plots import INCHES, draw, picture_format
from harness.data.webvision.check.report import ClassCount, Report
from harness.errors import HarnessError

TREES = Path(__file__).parents[2] / "trees"


@pytest.fixture(scope="module")
def report() -> Report:
    return check(TREES / "webvision1", images="none")


def test_an_svg_is_the_same_every_time(report: Report, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    draw(report, tmp_path / "one.svg")
    draw(report, tmp_path / "two.svg")
    text = (tmp_path / "one.svg").read_text()
    assert text == (tmp_path / "two.svg").read_text()
    assert "<dc:date>" not in text
    assert "webvision1, laid out as WebVision 1.0" in text
    assert "9 entries" in text
    assert "google: 55.6%" in text
    for title in ("Training entries per class", "Search ranks", "Entries with text"):
        assert title in text
    assert sorted(path.name for path in tmp_path.glob("*.svg")) == ["one.svg", "two.svg"]


def test_a_png_has_its_size(report: Report, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    many = tuple(
        ClassCount(
            wnid=f"n{k:08d}",
            words="",
            entries={"google": k % 7, "flickr": 1000 - 3 * k},
            total=1000 - 3 * k + k % 7,
            files=1,
        )
        for k in range(300)
    )
    bare = replace(report, classes=many, texts=(), ranks={}, root="/data/$x^$")
    draw(bare, tmp_path / "many.PNG")
    with Image.open(tmp_path / "many.PNG") as image:
        assert image.format == "PNG"
        assert image.width / image.height == pytest.approx(INCHES[0] / INCHES[1], rel=0.01)


def test_other_endings_are_refused(report: Report, tmp_path: Path) -> None:
    assert picture_format(Path("a.SVG")) == "svg"
    for name in ("a.pdf", "a", "svg"):
        with pytest.raises(HarnessError, match=r"a picture ends in \.svg or \.png"):
            draw(report, tmp_path / name)


def test_nothing_to_draw_is_said(report: Report, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    with pytest.raises(HarnessError, match="has no training list to draw; try harness data check"):
        draw(replace(report, classes=()), tmp_path / "a.svg")


def test_without_matplotlib_the_extra_is_named(
    report: Report, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(HarnessError, match=r"pip install matplotlib$"):
        draw(report, tmp_path / "a.svg")
    assert not (tmp_path / "a.svg").exists()
