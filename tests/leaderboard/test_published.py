"""Published numbers, worked out by hand from the deck's errors."""

from __future__ import annotations

import json
import re
from collections import Counter
from decimal import Decimal

import pytest

from harness.errors import HarnessError
from harness_leaderboard.published import (
    FIELD,
    FILE,
    corresponding,
    load_field,
    load_published,
    published_row,
)
from harness_plugins.malong import MalongCurriculum
from harness_reproductions.publish import published_json


@pytest.fixture(scope="module")
def rows():
    return load_published()


def test_the_file_is_what_the_decks_tables_give():
    assert FILE.read_text(encoding="utf-8") == published_json(), (
        "write it again: python -m harness_reproductions.publish > "
        "leaderboard/harness_leaderboard/published.json"
    )


def test_there_are_as_many_rows_as_in_the_decks(rows):
    tables = Counter((row.source.partition(" ")[0], row.table) for row in rows)
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
    assert Counter(len(row.printed_runs) for row in rows) == {0: 77, 5: 8}


def test_only_malongs_deck_says_how_it_tested(rows):
    assert Counter(row.terms for row in rows) == {
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
    found = [
        f"{row.top1_percent} {row.top5_percent}" for row in rows if row.table.startswith(table)
    ]
    assert found == expected


def test_what_was_printed_is_kept(rows):
    row = next(row for row in rows if row.label == "Model-D with Inception_resnet_v2")
    assert (row.printed_top1, row.printed_top5, row.printed_as) == ("20.70", "6.38", "error %")
    line = published_row(row)
    assert (line.top1_percent, line.top5_percent) == (79.3, 93.62)
    assert line.source == "Malong deck, 'Results: Single Model, 10 Crops', Table 3"


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
    malong = next(row for row in rows if row.team == "Malong AI Research")
    runs = [str(value) for value in malong.runs_percent]
    assert runs == ["93.58", "94.67", "94.78", "94.78", "94.70"]


def test_the_field_has_its_source_and_who_measured_it():
    found = load_field()
    assert len(found) == 174
    assert Counter(row.read for row in found) == {"confirmed": 75, "copied": 99}
    assert all(row.source and row.regime != "memory" for row in found)
    elr = [row for row in found if row.label == "ELR" and row.edition == "mini-WebVision"]
    assert [(r.split, str(r.top1_percent), r.read) for r in elr] == [
        ("val", "76.26", "confirmed"),
        ("ilsvrc", "68.71", "confirmed"),
    ]


def test_a_number_from_memory_is_refused(tmp_path):
    path = tmp_path / "field.csv"
    path.write_text(FIELD.read_text(encoding="utf-8").replace(",copied,", ",memory,", 1))
    with pytest.raises(HarnessError, match=r"field.csv, line 2: read: .*'confirmed' or 'copied'"):
        load_field(path)


def test_no_path_is_published(rows):
    # Only "Experiment Results 1/2" has a slash.
    texts = [text for row in rows for text in (row.team, row.label, row.table, row.source)]
    assert not [text for text in texts if re.search(r"(?<!\d)/|/(?!\d)", text.replace("w/o", ""))]


@pytest.mark.parametrize(
    ("method", "expected"),
    [
        (MalongCurriculum(model="C"), {"Model-C"}),
        (MalongCurriculum(backbone="inception_v4"), {"Model-D with Inception_v4"}),
        (
            MalongCurriculum(highly_noisy_percent=25),
            {"Model-D with 25% of the highly noisy data"},
        ),
        (MalongCurriculum(model="C", backbone="inception_v3"), set()),
        (MalongCurriculum(model="C", crops=1), set()),
    ],
)
def test_a_run_finds_the_row_that_it_reproduces(
    rows, make_record, knobs_of_method, method, expected
):
    record = make_record(plugin="malong_curriculum", knobs=knobs_of_method(method))
    assert {row.label for row in corresponding(record, rows)} == expected


def test_a_run_with_other_tricks_or_of_another_plugin_reproduces_nothing(
    rows, make_record, knobs_of_method
):
    knobs = knobs_of_method(MalongCurriculum(model="C"))
    terms = {"plugin": "malong_curriculum", "knobs": knobs}
    assert corresponding(make_record(**terms), rows)
    assert not corresponding(make_record(**terms, without=("TenCrop",)), rows)
    assert not corresponding(make_record(**terms, label="malong_curriculum +mixup"), rows)
    assert not corresponding(make_record(plugin="baseline", knobs=knobs), rows)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"printed_top1": "3O.28"}, r"0\.printed_top1: "),
        ({"printed_top1": "130.28"}, r"must be in \[0, 100\] %"),
        ({"printed_top5": "42.98"}, r"top-5 must not be below top-1"),
        ({"printed_top1": "", "printed_top5": ""}, r"found neither"),
        ({"printed_as": "per cent"}, r"0\.printed_as: "),
        ({"knobs": "model=A"}, r"0\.knobs: "),
        ({"source": ""}, r"0\.source: "),
        ({"origin": "deck"}, r"0\.origin: "),
    ],
)
def test_a_wrong_row_is_named(tmp_path, change, message):
    path = tmp_path / "published.json"
    first = json.loads(FILE.read_text(encoding="utf-8"))[0]
    path.write_text(json.dumps([first | change]))
    with pytest.raises(HarnessError, match=message) as caught:
        load_published(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("text", ["", "[", "{}", "[1]", "\udcff"])
def test_a_file_that_holds_no_rows_is_named(tmp_path, text):
    path = tmp_path / "published.json"
    path.write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(HarnessError, match=r"published\.json"):
        load_published(path)
