"""Which rows stand in which table."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from harness_leaderboard.board import make_board, narrow
from harness_leaderboard.published import load_field, load_published
from harness_leaderboard.rows import BoardRow
from harness_leaderboard.table import flat, noise_tables, score_tables

NAMES = st.sampled_from(["WebVision 1.0", "WebVision 2.0", "synthweb v1", "x · y", "|<b>", ""])
TERMS = st.tuples(
    NAMES,
    st.sampled_from(["val", "test", "val · 10 views"]),
    st.sampled_from(["1 view", "10 views", "challenge entry"]),
)


@settings(max_examples=50, deadline=None)
@given(terms=st.lists(TERMS, max_size=12))
def test_editions_splits_and_protocols_never_share_a_table(make_record, make_score, terms):
    records = [
        make_record(
            label="/".join(term),
            edition=term[0],
            seed=seed,
            scores=(make_score(split=term[1], protocol=term[2]),),
        )
        for seed, term in enumerate(terms)
    ]
    board = make_board(records, load_published())
    tables = score_tables(board.rows)
    assert len(tables) == len(set(terms)) + len({row.terms for row in load_published()})
    seen = []
    for table in tables:
        if table.title.endswith("(published)"):
            continue
        names = set(table.frame["method"])
        assert len(names) <= 1
        for name in names:
            assert table.title.startswith(name.replace("/", " · "))
        seen += names
    assert sorted(seen) == sorted({"/".join(term) for term in terms})


def test_measured_and_published_rows_never_share_a_table(make_record, make_score):
    record = make_record(
        edition="WebVision 1.0", scores=(make_score(0.75, 0.9, split="val"),), full_size=True
    )
    tables = score_tables(make_board([record], load_published()).rows)
    assert [table.title for table in tables] == [
        "WebVision 1.0 · val · 10 views (measured)",
        "WebVision 1.0 · test · challenge entry, best of 5 runs (published)",
        "WebVision 1.0 · val · 10 views (published)",
        "WebVision 2.0 · test · challenge entry (published)",
        "WebVision 2.0 · val · protocol not stated (published)",
    ]
    assert [len(table.frame) for table in tables] == [1, 8, 13, 6, 58]


def test_numbers_of_different_training_never_share_a_table():
    rows = [row for row in make_board([], load_field()).rows if row.edition == "mini-WebVision"]
    regimes = {(row.split, row.regime) for row in rows}
    assert len(score_tables(rows)) == len(regimes) == 7
    assert {regime for _, regime in regimes} == {
        *("cross-entropy about 64", "cross-entropy about 75"),
        *("pretrained weights", "regime not stated"),
    }


def test_measured_tables_come_first_and_rows_best_first(malong_records):
    board = make_board(malong_records, load_published())
    tables = score_tables(board.rows)
    assert [table.title.rpartition("(")[2] for table in tables] == [
        "measured)",
        *["published)"] * 4,
    ]
    assert tables[0].frame["method"].tolist() == [
        *(f"malong_curriculum model={model}" for model in "DCBA"),
        "baseline",
    ]
    assert tables[0].frame["top-1 %"].tolist()[-1] == "50.50 ± 0.71"
    assert "Shrunk runs" in tables[0].notes[0]


def test_rows_without_top1_are_sorted_in_by_top5():
    tables = {table.title: table for table in score_tables(make_board([], load_published()).rows)}
    mixed = tables["WebVision 2.0 · val · protocol not stated (published)"]
    top5 = [float(value) for value in mixed.frame["top-5 %"]]
    assert top5 == sorted(top5, reverse=True)
    assert mixed.frame["method"].tolist()[:3] == [
        "Huawei Cloud Learned ensemble",
        "Huawei Cloud Simple ensemble",
        "PCI ResNest 101, C",
    ]
    assert mixed.frame["top-1 %"].tolist()[:3] == ["", "", "57.23"]
    note = "Sorted by top-5: not every row has top-1."
    assert [note in table.notes for table in tables.values()] == [False, False, False, True]


def test_the_oracle_has_a_table_of_its_own(make_record):
    editions = ["synthweb-small v1", "synthweb-small v1, true labels"]
    records = [make_record(edition=edition, seed=seed) for edition in editions for seed in (0, 1)]
    board = make_board(records, ())
    tables = score_tables(board.rows)
    assert [table.title for table in tables] == [
        f"{edition} · test · 10 views (measured)" for edition in editions
    ]
    assert [table.frame["seeds"].tolist() for table in tables] == [["2"], ["2"]]
    assert {row.edition for row in narrow(board, editions=[editions[1]]).rows} == {editions[1]}


def test_a_full_run_has_the_published_numbers_beside_it(ensemble_record):
    data = ensemble_record.data.model_copy(update={"edition": "WebVision 2.0"})
    record = ensemble_record.model_copy(update={"data": data, "full_size": True})
    table = score_tables(make_board([record], load_published()).rows)[0]
    assert table.frame["published %"].tolist() == ["- / 81.15"]
    assert table.notes == ("Published: WebVision 2.0 test, challenge entry, top-1 / top-5.",)


def test_class_means_are_shown_if_they_differ(make_record, make_score):
    (table,) = score_tables(make_board([make_record()], ()).rows)
    assert "class mean %" not in table.frame
    record = make_record(scores=(make_score(top1_class_mean=0.4, top5_class_mean=0.7),))
    (table,) = score_tables(make_board([record], ()).rows)
    assert table.frame["class mean %"].tolist() == ["40.00 / 70.00"]


def test_the_best_epoch_of_val_and_two_copies_of_the_data_are_told(make_record, make_score):
    score = make_score(split="val", epoch="best")
    records = [
        make_record(label="a", scores=(score,)),
        make_record(label="b", scores=(score,), fingerprint="0" * 64),
    ]
    (table,) = score_tables(make_board(records, (), epochs=["best"]).rows)
    assert table.notes == (
        "These rows come from 2 different copies of synthweb-small v1 (ffffffff, 00000000): do not "
        "compare across them.",
        "Shrunk runs: compare their differences, never one of their numbers, with what was "
        "published.",
        "The best epoch was chosen on this split: its numbers are too high.",
    )


def test_noise_tables_per_edition(malong_records, make_record, make_noise):
    other = make_record(edition="synthweb-large v1", noise=(make_noise(None),))
    tables = noise_tables(make_board([*malong_records, other], ()).noise)
    assert [table.title for table in tables] == [
        "synthweb-small v1 · noise detection (measured)",
        "synthweb-large v1 · noise detection (measured)",
    ]
    assert tables[0].frame["AUC"].tolist() == ["0.810"] * 4
    assert tables[1].frame["AUC"].tolist() == [""]


def test_the_flat_list_has_every_row_and_its_columns_even_when_empty():
    board = make_board([], load_published())
    frame = flat(board.rows, BoardRow)
    assert len(frame) == 85
    assert {"edition", "split", "protocol", "kind"} <= set(frame.columns)
    assert flat([], BoardRow).columns.tolist() == frame.columns.tolist()
