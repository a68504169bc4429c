"""The tables against the decks: what is printed there was typed here a second time."""

from __future__ import annotations

import re
from collections import Counter

import pytest

from harness.errors import HarnessError
from harness_plugins.malong import MalongCurriculum
from harness_reproductions.decks import bigvideo, malong
from harness_reproductions.tables import all_claims, all_tables, find_tables

TEAMS = ("PCI", "BigVideo", "Huawei", "Malong", "WeChat")

# What a deck prints, row by row: errors in percent, accuracies in percent, shares of 1.
ERRORS = {
    "malong/table1": "30.28 12.98  30.16 12.43  28.44 11.38  27.91 10.82",
    "malong/table2": "28.44 11.38  28.17 10.93  27.91 10.82  28.48 11.07  28.33 10.94",
    "malong/table3": "27.91 10.82  22.21 7.88  21.97 6.64  20.70 6.38",
    "huawei/pretrained": "54.28 30.69  52.10 28.51  52.21 28.62  50.12 26.78  48.97 25.74  "
    "48.38 25.21  50.62 27.11  51.23 27.80  48.98 25.75  48.05 24.88  47.31 24.31  51.61 28.02",
}
ACCURACIES = {
    "pci/resnet101": "51.78 74.76  55.52 77.78  55.87 78.13  54.74 78.69",
    "pci/resnet152": "55.84 78.01  56.16 78.36  56.77 78.83",
    "pci/resnext101": "55.63 77.91  56.58 78.63",
    "pci/resnest101": "56.36 78.53  57.23 79.23",
    "pci/final": "79.88",
    "bigvideo/challenge": "82.05",
    "huawei/strategy": "71.49 73.60",
    "huawei/reweight-class": "73.6 74.4",
    "huawei/top-ranked": "73.6 74.4 75.02",
    "huawei/clustering": "73.6 74.4 69.7 74.6 74.8 70.8 72.3 74.8",
    "huawei/meta": "73.6 65.5 75.35",
    "huawei/architecture": "73.6 73.12 76.61 76.25 75.3",
    "huawei/distillation": "73.6 74.44 75.02 77.3",
    "huawei/ensemble": "80.4 81.3",
    "huawei/challenge": "82.54 82.05 81.15 80.69 77.92",
    "wechat/pretraining": "52.0 76.1  53.4 76.8  55.5 77.8",
    "wechat/backbones": "55.0 78.1  54.4 77.0  56.1 78.7",
}
SHARES = {
    "Malong AI Research": "0.9358 0.9467 0.9478 0.9478 0.9470",
    "SHTU_SIST": "0.9223 0.9225 0.9218 0.9219 0.9216",
    "HG-AI": "0.9189 0.9152 0.9152 0.9189 0.9189",
    "VISTA": "0.8979 0.9005 0.8980 0.8992 0.8980",
    "LZ_NES": "0.8853 0.8758 0.8723 0.8504 0.8504",
    "CRCV": "0.8707 0.8717 0.8701 0.8712 0.8721",
    "Chahrazad": "0.8705 0.8705 0.8705 0.8705 0.8705",
    "Gombru (CVC and Eurecat)": "0.8475 0.8374 0.8586 0.8586 0.8586",
}
LISTS = {
    "malong/figure1": 5,
    "malong/multi-scale-kernel": 2,
    "bigvideo/techniques": 10,
    "huawei/cluster-uses": 7,
    "huawei/matching": 2,
    "huawei/combinations": 4,
    "wechat/tricks": 5,
}


def cells(table):
    return [value for row in table.rows for value in row.published.values()]


@pytest.mark.parametrize(("name", "printed"), ERRORS.items())
def test_printed_errors(name, printed):
    (table,) = find_tables(name)
    assert [round(100 - cell, 2) for cell in cells(table)] == list(map(float, printed.split()))
    assert {tuple(row.published) for row in table.rows} == {("top1", "top5")}


@pytest.mark.parametrize(("name", "printed"), ACCURACIES.items())
def test_printed_accuracies(name, printed):
    (table,) = find_tables(name)
    assert cells(table) == list(map(float, printed.split()))


def test_the_challenge_of_2017_has_five_runs_a_team_of_which_the_best_counts():
    rows = {row.name: row for row in malong.CHALLENGE.rows}
    assert list(rows) == list(SHARES)
    for team, printed in SHARES.items():
        assert rows[team].printed.runs == tuple(printed.split())
        best = max(map(float, printed.split()))
        assert rows[team].published == {"top5": round(100 * best, 2)}


def test_every_table_was_typed_twice_or_has_no_numbers():
    tables = {table.name: table for table in all_tables()}
    assert len(tables) == len(all_tables()) == 29
    assert set(tables) == {*ERRORS, *ACCURACIES, *LISTS, "malong/challenge"}
    assert {name: len(tables[name].rows) for name in LISTS} == LISTS
    assert not any(cells(tables[name]) for name in LISTS)
    teams = Counter(name.partition("/")[0] for name in tables)
    assert teams == {"malong": 6, "bigvideo": 2, "huawei": 13, "pci": 5, "wechat": 3}
    assert sum(len(table.rows) for table in tables.values()) == 121
    assert sum(len(cells(table)) for table in tables.values()) == 128


def test_rows_have_names_of_their_own_and_numbers_that_can_be():
    for table in all_tables():
        assert max(Counter(row.name for row in table.rows).values()) == 1
        for row in table.rows:
            assert all(0 < value < 100 for value in row.published.values())
            assert row.published.get("top1", 0) < row.published.get("top5", 100)


def test_every_source_names_a_deck_and_a_slide():
    form = re.compile(rf"({'|'.join(TEAMS)}) deck, '[^']+'")
    sources = [row.source for table in all_tables() for row in table.rows]
    sources += [claim.source for claim in all_claims()]
    sources += [cost.source for cost in bigvideo.NETWORKS] + [malong.CATEGORIES.source]
    assert not [source for source in sources if not form.match(source)]


def test_malong_was_tested_on_ten_views_of_webvision_1():
    for table in find_tables("malong"):
        assert table.edition == "webvision1"
        for row in table.rows:
            assert not isinstance(row.recipe, MalongCurriculum) or row.recipe.crops == 10
    assert {table.protocol for table in malong.TABLES} == {"10 views", "challenge entry"}
    assert {t.edition for t in all_tables() if t not in malong.TABLES} == {"webvision2"}


def test_what_networks_cost():
    found = [(c.name, c.imagenet_top1, c.days) for c in bigvideo.NETWORKS]
    assert found == [
        ("NASNet-A (331)", 82.70, 67),
        ("PNASNet-5 (331)", 82.90, 61),
        ("SENet154 (224)", 81.32, 18),
        ("ResNeXt152 variant (224)", 81.53, 12),
        ("Inception-ResNet-v2 (299)", 80.10, 12),
        ("DPN98 (224)", 79.80, 11),
        ("SEResNet152 (224)", 78.43, 9),
    ]
    assert {(c.gpus, c.device) for c in bigvideo.NETWORKS} == {(64, "TITAN Xp")}
    for cost in bigvideo.NETWORKS:
        (stage,) = cost.recipe.plan().stages
        assert stage.epochs == 150
        assert f"({stage.input_size})" in cost.name


def test_the_categories_of_webvision_1_add_up():
    found = malong.CATEGORIES
    assert (found.improved, found.reduced, found.unchanged) == (668, 195, 137)
    assert found.improved + found.reduced + found.unchanged == 1000
    assert (found.better.name, found.worse.name) == ("Model-D", "Model-B")


def test_the_doubtful_cells_say_so():
    (resnet101,) = find_tables("pci/resnet101")
    assert "misprint" in resnet101["C"].doubt
    (clustering,) = find_tables("huawei/clustering")
    assert [bool(row.doubt) for row in clustering.rows] == [False] * 2 + [True] * 6


def test_a_table_is_found_by_name_and_all_of_a_team_by_the_team():
    assert [table.name for table in find_tables("wechat")] == [
        "wechat/pretraining",
        "wechat/backbones",
        "wechat/tricks",
    ]
    with pytest.raises(HarnessError, match="unknown table 'huawei/cluster'; did you mean"):
        find_tables("huawei/cluster")
