"""Published numbers, worked out by hand from the deck's errors."""

from __future__ import annotations

import re
from collections import Counter
from decimal import Decimal

import pytest

from harness.errors import HarnessError
from harness_leaderboard.published import FOLDER, corresponding, load_published, published_row

HEADER = (
    "team,label,table,edition,split,protocol,run,printed_top1,printed_top5,printed_as,"
    "plugin,knobs,source\n"
)
GOOD = "T,A,Table 1,WebVision 1.0,val,10 views,,30.28,12.98,error %,p,model=A,deck\n"


@pytest.fixture(scope="module")
def rows():
    return load_published()


def test_there_are_as_many_rows_as_in_the_decks(rows):
    tables = Counter((row.source.partition(" ")[0], row.table) for row in rows if row.run is None)
    assert tables == {
        ("Malong", "Table 1"): 4,
        ("Malong", "Table 2"): 5,
        ("Malong", "Table 3"): 4,
        ("Malong", "WebVision challenge 2017"): 8,
        ("Huawei", "Training strategy"): 2,
        ("Huawei", "Pretrained models"): 12,
        ("Huawei", "Handle imbalance - reweight class"): 2,
        ("Huawei", "Handle imbalance - top ranked images + oversampling"): 3,
        ("Huawei", "Summary of results based on clustering"): 8,
        ("Huawei", "Summary of result based on meta information"): 3,
        ("Huawei", "Model architecture"): 5,
        ("Huawei", "Model distillation"): 4,
        ("Huawei", "Results of ensemble"): 2,
        ("Huawei", "WebVision challenge 2019"): 5,
        ("PCI", "ResNet 101"): 4,
        ("PCI", "ResNet 152"): 3,
        ("PCI", "ResNext 101"): 2,
        ("PCI", "ResNest 101"): 2,
        ("PCI", "Final result"): 1,
        ("WeChat", "Effectiveness of our pretraining"): 3,
        ("WeChat", "Different backbones"): 3,
    }
    runs = [row for row in rows if row.run is not None]
    assert len(runs) == 8 * 5
    assert set(Counter(row.team for row in runs).values()) == {5}


def test_only_malongs_deck_says_how_it_tested(rows):
    assert Counter(row.terms for row in rows if row.run is None) == {
        ("WebVision 1.0", "val", "10 views"): 13,
        ("WebVision 1.0", "test", "challenge entry, best of 5 runs"): 8,
        ("WebVision 2.0", "val", "protocol not stated"): 58,
        ("WebVision 2.0", "test", "challenge entry"): 6,
    }


@pytest.mark.parametrize(
    ("table", "expected"),
    [
        (
            "Table 1",
            ["69.72 87.02", "69.84 87.57", "71.56 88.62", "72.09 89.18"],
        ),
        (
            "Table 2",
            ["71.56 88.62", "71.83 89.07", "72.09 89.18", "71.52 88.93", "71.67 89.06"],
        ),
        (
            "Table 3",
            ["72.09 89.18", "77.79 92.12", "78.03 93.36", "79.30 93.62"],
        ),
    ],
)
def test_errors_become_accuracies_exactly(rows, table, expected):
    found = [f"{row.top1_percent} {row.top5_percent}" for row in rows if row.table == table]
    assert found == expected


def test_what_was_printed_is_kept(rows):
    row = next(row for row in rows if row.label == "Model-D with Inception_resnet_v2")
    assert (row.printed_top1, row.printed_top5, row.printed_as) == ("20.70", "6.38", "error %")
    line = published_row(row)
    assert (line.top1_percent, line.top5_percent) == (79.3, 93.62)
    assert line.source == 'Malong deck 2017, "Results: Single Model, 10 Crops"'


def test_the_challenge_is_ranked_by_the_best_of_five_runs(rows):
    best = {row.team: row.top5_percent for row in rows if row.terms[2].endswith("best of 5 runs")}
    assert best == {
        "Malong AI Research": Decimal("94.78"),
        "SHTU_SIST": Decimal("92.25"),
        "HG-AI": Decimal("91.89"),
        "VISTA": Decimal("90.05"),
        "LZ_NES": Decimal("88.53"),
        "CRCV": Decimal("87.21"),
        "Chahrazad": Decimal("87.05"),
        "Gombru (CVC and Eurecat)": Decimal("85.86"),
    }
    malong = next(row for row in rows if row.team == "Malong AI Research" and row.runs)
    assert [str(value) for value in malong.runs] == ["93.58", "94.67", "94.78", "94.78", "94.70"]
    assert {row.terms[2] for row in rows if row.run == 3} == {"challenge entry, run 3"}


def test_no_path_is_published():
    for path in FOLDER.glob("*.csv"):
        # Only "Experiment Results 1/2" has a slash.
        assert not re.search(r"(?<!\d)/|/(?!\d)", path.read_text(encoding="utf-8"))


@pytest.mark.parametrize(
    ("knobs", "expected"),
    [
        ({"model": ("C", "command line"), "backbone": ("inception_v2", "published")}, {"Model-C"}),
        (
            {"model": ("D", "published"), "backbone": ("inception_v4", "command line")},
            {"Model-D with Inception_v4"},
        ),
        (
            {"model": ("D", "published"), "highly_noisy_percent": ("25", "command line")},
            {"Model-D with 25 % of the highly noisy data"},
        ),
        ({"model": ("C", "command line"), "backbone": ("resnet50", "command line")}, set()),
        ({"model": ("C", "command line"), "views": ("1", "command line")}, set()),
    ],
)
def test_a_run_finds_the_row_that_it_reproduces(rows, make_record, knobs, expected):
    record = make_record(plugin="malong_curriculum", label="malong_curriculum", knobs=knobs)
    assert {row.label for row in corresponding(record, rows)} == expected


def test_a_run_with_other_tricks_or_of_another_plugin_reproduces_nothing(rows, make_record):
    knobs = {"model": ("C", "command line")}
    assert corresponding(make_record(plugin="malong_curriculum", knobs=knobs), rows)
    assert not corresponding(
        make_record(plugin="malong_curriculum", knobs=knobs, without=("TenCrop",)), rows
    )
    assert not corresponding(
        make_record(plugin="malong_curriculum", knobs=knobs, label="malong_curriculum +mixup"), rows
    )
    assert not corresponding(make_record(plugin="baseline", knobs=knobs), rows)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (HEADER + GOOD + GOOD, r"line 3: says again what line 2 says"),
        (HEADER + GOOD.replace("30.28", "3O.28"), r"line 2: column printed_top1: "),
        (HEADER + GOOD.replace("30.28", "130.28"), r"line 2: .*within 0 and 100 %"),
        (HEADER + GOOD.replace("12.98", "42.98"), r"line 2: .*top-5 must not be below top-1"),
        (HEADER + GOOD.replace("30.28,12.98", ","), r"line 2: .*found neither"),
        (HEADER + GOOD.replace("error %", "per cent"), r"line 2: column printed_as: "),
        (HEADER + GOOD.replace("model=A", "model"), r"line 2: column knobs: .*name=value"),
        (HEADER + GOOD.replace(",p,", ",,"), r"line 2: .*knobs without the plugin"),
        (HEADER + GOOD.replace(",deck", ""), r"line 2: expected 13 cells"),
        (HEADER + GOOD.replace("deck", "deck,2017"), r"line 2: expected 13 cells"),
        (HEADER + GOOD.replace("deck", '"deck'), r"not a UTF-8 CSV file"),
        (HEADER.replace("source", "origin") + GOOD, r"line 2: column \w+: "),
        (HEADER + GOOD.replace("deck", "\udcff"), r"not a UTF-8 CSV file"),
    ],
)
def test_a_wrong_line_is_named(tmp_path, text, message):
    path = tmp_path / "table.csv"
    path.write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(HarnessError, match=message) as caught:
        load_published(tmp_path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)
