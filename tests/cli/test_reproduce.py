"""``harness reproduce``: from published rows to verdicts, on the smallest data there is."""

from __future__ import annotations

import html
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from harness.store.record_files import read_records

Call = Callable[..., Any]
TABLE = "huawei/reweight-class"
ASKED = ("reproduce", TABLE, "--data", "synthweb:tiny", "--stage", "epochs=1", "--engine", "torch")


def test_the_tables_are_listed(call: Call) -> None:
    listed = json.loads(call("reproduce", "--list", "--json").out)
    assert len(listed) > 20
    assert {table["name"].partition("/")[0] for table in listed} == {
        "malong", "bigvideo", "huawei", "pci", "wechat",
    }  # fmt: skip
    assert TABLE in call("reproduce", "--list").out


@pytest.mark.slow
def test_what_is_missing_is_run_once_and_judged(tiny_home: Path, call: Call) -> None:
    nothing = json.loads(call(*ASKED, "--no-run", "--json").out)
    (claim,) = nothing["claims"]
    assert claim["verdict"] == "not run yet"
    assert claim["reason"].endswith("has no run here")

    first = call(*ASKED, "--seeds", "3", "--json")
    assert first.status == 0, first
    found = json.loads(first.out)
    assert (found["runs"], found["seeds"], found["shrunk"]) == (6, [0, 1, 2], True)
    assert found["stages"] == 6
    (claim,) = found["claims"]
    measured = claim["measured"]
    assert measured["low"] <= measured["mean"] <= measured["high"]
    assert claim["published"] == 0.8
    assert claim["p_holm"] == pytest.approx(claim["p_value"])
    records, _ = read_records(tiny_home / "records")
    plain, weighed = (
        [r.score("test", "1 view").top5 for r in records if r.knobs["noise"].value == noise]  # type: ignore[union-attr]
        for noise in ("none", "reweight_class")
    )
    assert measured["mean"] == pytest.approx(100 * (sum(weighed) - sum(plain)) / 3, abs=1e-3)
    (table,) = found["tables"]
    by_name = {row["name"]: row for row in table["rows"]}
    assert by_name["Baseline"]["measured"]["top5"]["mean"] == pytest.approx(
        100 * sum(plain) / 3, abs=1e-3
    )
    assert {row["level"] for row in by_name.values()} == {"not tested at this scale"}

    again = call(*ASKED, "--seeds", "3", "--json")
    assert json.loads(again.out) == found
    assert "steps" not in again.err
    assert json.loads(call(*ASKED, "--seeds", "3", "--no-run", "--json").out) == found
    markdown = call(*ASKED, "--seeds", "3", "--no-run", "--markdown").out
    assert "### huawei/reweight-class: Handle imbalance" in markdown
    assert "| Reweighting classes" in markdown.replace("  ", " ")


@pytest.mark.slow
def test_the_data_that_nobody_named_is_said(harness_home: Path, call: Call) -> None:
    # A home of its own: the default data are drawn, and the tiny one's folder is every test's.
    ended = call("reproduce", TABLE, "--no-run", "--json")
    assert json.loads(ended.out)["data"] == "synthweb:small"
    assert [path.name for path in (harness_home / "data").glob("synthweb*")] == [
        "synthweb-v1-small-0"
    ]


@pytest.mark.slow
def test_the_report_is_one_page_that_loads_nothing(
    tiny_home: Path, call: Call, tmp_path: Path
) -> None:
    ended = call(*ASKED, "--seeds", "1", "--report", str(tmp_path / "report"))
    assert ended.status == 0, ended
    told = " ".join(ended.out.split())  # the cells of the table are wrapped
    assert "one seed is too few to estimate the variance between seeds: run 2 more" in told
    assert "compare signs and differences, not levels" in ended.out
    (path,) = (tmp_path / "report").iterdir()
    page = html.unescape(path.read_text())
    assert str(path) in ended.err
    for word in ("src=", "stylesheet", "url(", "@import", 'href="http'):
        assert word not in page
    assert page.count("<script") == 1
    assert "default-src 'none'; style-src 'sha256-" in page
    assert page.count('class="plot"') == 2
    assert "bigvideo" not in page  # nobody asked for its tables
    assert "inconclusive" in page
    first = path.read_bytes()
    call(*ASKED, "--seeds", "1", "--report", str(tmp_path / "report"))
    assert path.read_bytes() == first


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        (("malong/table9",), "unknown table 'malong/table9'; did you mean"),
        (("--data", "synthwep"), "synthwep"),
        (("--stage", "epochs"), "--stage 'epochs' must be NAME=VALUE"),
    ],
)
def test_what_is_wrong_is_one_line(
    tiny_home: Path, call: Call, asked: tuple[str, ...], told: str
) -> None:
    ended = call("reproduce", *asked)
    assert ended.status == 2
    assert told in ended.err.splitlines()[-1]
