"""Seeds, groups, and what must be told about them."""

from __future__ import annotations

import pytest

from harness.store.groups import group_runs
from harness_leaderboard.measured import measured_rows, noise_rows
from harness_leaderboard.published import load_published


def rows_of(records, epochs=("last",)):
    return measured_rows(group_runs(records)[0], load_published(), epochs)


def test_mean_and_sample_deviation_by_hand(make_record, make_score):
    records = [
        make_record(seed=seed, scores=(make_score(top1, 0.9),), seconds=seconds)
        for seed, top1, seconds in ((3, 0.5, 10.0), (1, 0.6, 20.0), (2, 0.7, 60.0))
    ]
    (row,) = rows_of(records)
    assert row.top1_percent == pytest.approx(60.0)
    # Deviations -10, 0 and 10 points: sqrt((100 + 0 + 100) / 2) = 10.
    assert row.top1_sd == pytest.approx(10.0)
    assert row.top5_percent == pytest.approx(90.0)
    assert row.top5_sd == pytest.approx(0.0)
    assert row.device_seconds == pytest.approx(30.0)
    assert (row.n_seeds, row.seeds, row.size) == (3, (1, 2, 3), "shrunk")


def test_one_seed_has_no_deviation(make_record):
    (row,) = rows_of([make_record()])
    assert (row.n_seeds, row.top1_sd, row.top5_sd) == (1, None, None)


@pytest.mark.parametrize(
    "change",
    [
        {"label": "other"},
        {"plugin": "other"},
        {"without": ("MixUp",)},
        {"full_size": True},
        {"fingerprint": "0" * 64},
        {"edition": "synthweb-large v1"},
        {"epochs": 9},
        {"knobs": {"lr": ("0.2", "command line")}},
    ],
)
def test_what_decides_the_result_makes_another_group(make_record, change):
    assert len(group_runs([make_record(seed=0), make_record(seed=1)])[0]) == 1
    assert len(group_runs([make_record(seed=0), make_record(seed=1, **change)])[0]) == 2


def test_one_number_has_one_row_however_it_was_typed(make_record):
    typed = ["10", "1_0", "1e1", "10.0", "2", "0.1", ".1"]
    records = [
        make_record(
            label=f"elr lr={text} stage=x",
            plugin="elr",
            seed=seed,
            knobs={"lr": (str(float(text)), "command line")},
        )
        for seed, text in enumerate(typed)
    ]
    assert {row.method: row.seeds for row in rows_of(records)} == {
        "elr lr=10 stage=x": (0, 1, 2, 3),
        "elr lr=2 stage=x": (4,),
        "elr lr=0.1 stage=x": (5, 6),
    }


def test_the_seed_of_a_trick_makes_no_group(make_record):
    records = []
    for seed in (0, 1):
        record = make_record(seed=seed)
        tricks = {"noise": (f"KeepSubsets(count=3, highly_noisy_share=0.5, seed={seed})",)}
        stage = record.stages[0].model_copy(update={"tricks": tricks})
        records.append(record.model_copy(update={"stages": (stage,)}))
    assert [row.n_seeds for row in rows_of(records)] == [2]


def test_a_repeated_seed_counts_once_the_newest_and_is_told(make_record, make_score):
    old = make_record(created="2024-01-01", scores=(make_score(0.1, 0.2),))
    new = make_record(created="2024-02-01", commit="abc", dirty=True)
    groups, notes = group_runs([new, old, make_record(seed=1, commit="abc", dirty=True)])
    (row,) = measured_rows(groups, (), ["last"])
    assert (row.n_seeds, row.top1_percent) == (2, pytest.approx(50.0))
    assert notes == [
        (
            "synthweb-small v1",
            "baseline, seed 0, on synthweb-small v1: the newest of 2 runs counts "
            "(commit abc, with local changes).",
        )
    ]


def test_seeds_under_different_code_or_hardware_are_told(make_record):
    _, notes = group_runs(
        [make_record(seed=0), make_record(seed=1, commit="fedcba9876", hardware="GPU")]
    )
    assert [note for _, note in notes] == [
        "baseline: its seeds ran under different code (commit 012345678; commit fedcba987).",
        "baseline: its seeds ran on different hardware or engines; time is their mean.",
    ]


def test_namesakes_say_what_sets_them_apart(make_record):
    groups, _ = group_runs([make_record(), make_record(epochs=9), make_record(label="other")])
    assert [group.name for group in groups] == [
        "baseline (train.epochs=6)",
        "baseline (train.epochs=9)",
        "other",
    ]
    mixup = make_record()
    stage = mixup.stages[0].model_copy(update={"tricks": {"batch": ("MixUp(alpha=0.2)",)}})
    groups, _ = group_runs([make_record(), mixup.model_copy(update={"stages": (stage,)})])
    assert [group.name for group in groups] == [
        "baseline (train.batch tricks=none)",
        "baseline (train.batch tricks=MixUp(alpha=0.2))",
    ]


def test_tricks_left_out_are_in_the_name(make_record):
    groups, _ = group_runs([make_record(without=("MixUp",))])
    assert [group.name for group in groups] == ["baseline without MixUp"]


def test_an_ensemble_says_so_and_is_another_group(make_record):
    three = {"members": ("a", "b", "c"), "combine": "learned"}
    records = [
        make_record(),
        make_record(members=("train",)),
        make_record(**three),
        make_record(seed=1, **three),
        make_record(members=("a", "b"), combine="mean", without=("MixUp",)),
    ]
    groups, _ = group_runs(records)
    assert [(group.name, len(group.records)) for group in groups] == [
        ("baseline", 1),
        ("baseline (3 members, learned)", 2),
        ("baseline without MixUp (2 members, mean)", 1),
    ]


def test_a_published_number_stands_beside_a_run_of_full_size_on_its_data_only(ensemble_record):
    def reference(edition, *, full_size=True):
        data = ensemble_record.data.model_copy(update={"edition": edition})
        update = {"data": data, "full_size": full_size}
        (row,) = rows_of([ensemble_record.model_copy(update=update)])
        return row.reference, row.reference_top1_percent, row.reference_top5_percent

    nothing = ("", None, None)
    assert reference("WebVision 2.0") == ("WebVision 2.0 test, challenge entry", None, 81.15)
    assert reference("WebVision 2.0", full_size=False) == nothing
    assert reference("synthweb-small v1") == nothing


def test_each_split_protocol_and_epoch_is_a_row_of_its_own(make_record, make_score):
    terms = [("test", "1 view", "last"), ("test", "10 views", "last"), ("val", "1 view", "best")]
    scores = tuple(
        make_score(split=split, protocol=protocol, epoch=epoch) for split, protocol, epoch in terms
    )
    record = make_record(scores=scores)
    found = [(row.split, row.protocol, row.epoch) for row in rows_of([record], ("last", "best"))]
    assert found == terms
    assert [row.epoch for row in rows_of([record], ("best",))] == ["best"]


def test_a_shrunk_run_has_no_published_number_in_its_line(malong_records):
    assert {row.reference for row in rows_of(malong_records)} == {""}


def test_noise_quality_is_the_mean_of_the_seeds_that_have_it(make_record, make_noise):
    records = [
        make_record(seed=0, noise=(make_noise(0.8), make_noise(None, stage="initial"))),
        make_record(
            seed=1, noise=(make_noise(0.9, precision=None), make_noise(None, stage="initial"))
        ),
        make_record(seed=2),
    ]
    curriculum, initial = noise_rows(group_runs(records)[0])
    assert (curriculum.stage, curriculum.n_seeds) == ("curriculum", 2)
    assert curriculum.auc == pytest.approx(0.85)
    assert curriculum.precision == pytest.approx(0.8)
    assert (initial.stage, initial.auc, initial.recall) == ("initial", None, 0.9)
