"""The headline board of real records with real predictions."""

from __future__ import annotations

import hashlib
import io
import json
import re

import numpy as np
import pytest

from harness.errors import HarnessError
from harness.statistics.intervals import mean_accuracy
from harness.store.origins import Origin
from harness.store.record_files import write_record
from harness_leaderboard.formats import as_table
from harness_leaderboard.headline import make_headline
from harness_leaderboard.headline_board import told_apart_in_words
from harness_leaderboard.headline_table import headline_table
from harness_leaderboard.show import Filters, show, text_of
from harness_leaderboard.site.board_page import board_values

IMAGES = 400
DATA = {"asked": "synthweb:small", "edition": "synthweb-small v1"}


@pytest.fixture
def add(tmp_path, make_record, make_score):
    """Write a record whose predictions have this share of the images right; return it."""
    random = np.random.default_rng(0)
    labels = np.zeros(IMAGES, np.int32)
    files = np.arange(IMAGES).astype(str)

    def add_record(label, seed, share, *, terms=(("test", "10 views", "last"),), data=DATA, **more):
        scores, contents = [], {}
        for split, protocol, epoch in terms:
            classes = np.tile(np.arange(1, 6, dtype=np.int32), (IMAGES, 1))
            classes[random.permutation(IMAGES)[: round(share * IMAGES)], 0] = 0
            buffer = io.BytesIO()
            np.savez(buffer, files=files, labels=labels, classes=classes)
            contents[f"{split}-{protocol.replace(' ', '-')}-{epoch}.npz"] = buffer.getvalue()
            digest = hashlib.sha256(buffer.getvalue()).hexdigest()
            known = {"split": split, "protocol": protocol, "epoch": epoch, "images": IMAGES}
            scores.append(make_score(share, 0.9, **known, predictions_sha256=digest))
        plugin = label.partition(" ")[0]
        record = make_record(label=label, plugin=plugin, seed=seed, scores=tuple(scores), **more)
        record = record.model_copy(update={"data": record.data.model_copy(update=data)})
        write_record(tmp_path / "records", record)
        for name, content in contents.items():
            path = tmp_path / "records" / record.id / name
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(content)
        return record

    return add_record


def test_ranks_intervals_and_differences(add, tmp_path):
    shares = {"baseline": 0.5, "better": 0.8, "as_good": 0.79}
    records = [
        add(label, seed, share + 0.01 * (seed if label != "as_good" else -seed))
        for label, share in shares.items()
        for seed in range(3)
    ]
    board = make_headline(records, tmp_path, unverified=())
    assert [(row.method, row.rank, row.group) for row in board.rows] == [
        ("better", (1, 2), "a"),
        ("as_good", (1, 2), "a"),
        ("baseline", (3, 3), "b"),
    ]
    assert (board.split, board.images, board.baseline) == ("test", IMAGES, "baseline")
    assert (board.data.asked, board.others) == ("synthweb:small", ())
    assert (board.tested, board.told_apart) == (3, 2)
    better, as_good, baseline = board.rows
    assert better.top1_percent == better.top1.estimate == pytest.approx(81)
    assert better.top1.covers_seeds
    assert better.over_baseline.estimate == pytest.approx(30)
    assert 20 < better.over_baseline.low < 30 < better.over_baseline.high < 40
    assert (baseline.over_baseline, baseline.is_baseline) == (None, True)
    assert [row.outcome for row in board.rows] == ["better", "better", ""]
    assert board.against == 2
    assert better.told_apart_from == as_good.told_apart_from == (2,)
    assert (better.seeds, better.verified, better.top5_percent) == ((0, 1, 2), "yes", 90.0)
    assert told_apart_in_words(board).startswith("2 of 3 pairs told apart: paired differences")


def test_the_interval_is_that_of_the_statistics(add, tmp_path):
    records = [add("baseline", seed, 0.5 + 0.05 * seed) for seed in range(3)]
    (row,) = make_headline(records, tmp_path).rows
    tables = []
    for record in records:
        with np.load(tmp_path / "records" / record.id / "test-10-views-last.npz") as kept:
            tables.append(kept["classes"][:, 0] == kept["labels"])
    found = mean_accuracy(np.stack(tables))
    assert (row.top1.low, row.top1.high) == pytest.approx((100 * found.low, 100 * found.high))


def test_with_one_seed_nothing_is_told_apart_and_that_is_said(add, tmp_path):
    board = make_headline([add("baseline", 0, 0.2), add("better", 0, 0.9)], tmp_path)
    assert [row.rank for row in board.rows] == [(1, 2), (1, 2)]
    assert not board.rows[0].over_baseline.covers_seeds
    assert told_apart_in_words(board) == (
        "No two rows share 3 seeds, so none can be told apart: run each method with --seed 0 to 2."
    )
    text = as_table([headline_table(board)], ())
    assert "vs baseline" in text
    assert "vs baseline:" not in text  # nothing was tested against it
    assert "nothing to compare" in told_apart_in_words(
        make_headline([add("baseline", 0, 0.2)], tmp_path)
    )


def test_a_row_without_predictions_stays_and_is_not_tested(add, tmp_path, make_record):
    kept = [add("baseline", seed, 0.5) for seed in range(3)]
    lost = make_record(label="lost", plugin="lost", seed=0)
    lost = lost.model_copy(update={"data": lost.data.model_copy(update=DATA)})
    board = make_headline([*kept, lost], tmp_path, unverified={lost.id})
    row = next(row for row in board.rows if row.method == "lost")
    assert (row.top1, row.over_baseline, row.verified, row.rank) == (None, None, "no", (1, 2))
    (note,) = board.notes
    assert note.startswith("lost: not tested: ")


def test_the_last_epoch_counts_unless_the_method_keeps_an_average(add, tmp_path):
    last, best, average = (("test", "1 view", epoch) for epoch in ("last", "best", "averaged"))
    records = [
        add("baseline", 0, 0.5, terms=(last, best)),
        add("ema", 0, 0.6, terms=(last, average)),
    ]

    def shown(epoch=None):
        rows = make_headline(records, tmp_path, epoch=epoch).rows
        return sorted((row.method, row.epoch) for row in rows)

    assert shown() == [("baseline", "last"), ("ema", "averaged")]
    assert shown("last") == [("baseline", "last"), ("ema", "last")]
    assert shown("best") == [("baseline", "best")]
    assert shown("averaged") == [("ema", "averaged")]
    assert len(shown("all")) == 4


def test_each_method_is_shown_under_its_own_views(add, tmp_path):
    plain, ten = ("test", "1 view", "last"), ("test", "10 views", "last")
    records = [add("baseline", 0, 0.5, terms=(plain,)), add("crops", 0, 0.6, terms=(plain, ten))]
    rows = make_headline(records, tmp_path).rows
    assert {row.method: row.protocol for row in rows} == {"baseline": "1 view", "crops": "10 views"}


def test_the_newest_runs_data_set_is_shown_and_others_are_named(add, tmp_path):
    tiny = {"asked": "synthweb:tiny", "edition": "synthweb-tiny v1", "fingerprint": "0" * 64}
    records = [
        add("baseline", 0, 0.5, created="2024-01-02"),
        add("baseline", 0, 0.6, created="2024-01-01", data=tiny, edition="synthweb-tiny v1"),
    ]
    board = make_headline(records, tmp_path)
    assert (board.data.asked, [other.asked for other in board.others]) == (
        "synthweb:small",
        ["synthweb:tiny"],
    )
    for text in ("synthweb:tiny", "synthweb-tiny v1", "Synthweb tiny"):
        assert make_headline(records, tmp_path, data=text).rows[0].top1_percent == 60.0
    with pytest.raises(HarnessError, match=r"unknown data set 'synthweb:tinny'; did you mean 's"):
        make_headline(records, tmp_path, data="synthweb:tinny")


def test_copies_of_one_data_set_never_share_a_board(add, tmp_path):
    other = {**DATA, "fingerprint": "0" * 64}
    records = [
        add("baseline", 0, 0.5, created="2024-01-01"),
        add("baseline", 1, 0.6, created="2024-01-02", data=other),
    ]
    board = make_headline(records, tmp_path)
    assert [row.seeds for row in board.rows] == [(1,)]
    assert board.notes == (
        "The runs used 2 different copies of synthweb:small: this board is of the newest run's, "
        "synthweb-small v1.",
    )


def test_cost_and_what_came_from_outside(add, tmp_path):
    plain = add("baseline", 0, 0.5)
    stage = plain.stages[0]
    outside = {**stage.values, "weights": "timm", "clean": "64", "networks": "2"}
    tricks = {"noise": ("SemanticMatch(encoder='minilm', use='weigh')",), "loss": ("Lexical()",)}
    stages = (stage.model_copy(update={"values": outside, "tricks": tricks}),)
    rows = make_headline(
        [plain, add("other", 0, 0.6).model_copy(update={"stages": stages})], tmp_path
    ).rows
    assert [row.external for row in rows] == [("weights", "clean pictures", "encoder minilm"), ()]
    assert [(row.seconds, row.images, row.images_share) for row in rows] == [
        (60.0, 120_000.0, 2.0),  # 60 s at 1,000 pictures a second, in two networks
        (60.0, 60_000.0, 1.0),
    ]


def test_rows_can_be_chosen_by_method(add, tmp_path):
    records = [add(label, 0, 0.5) for label in ("baseline", "elr", "elr lr=1", "pci")]
    rows = make_headline(records, tmp_path, methods=("elr", "baseline")).rows
    assert [row.method for row in rows] == ["baseline", "elr", "elr lr=1"]
    with pytest.raises(HarnessError, match="unknown method 'erl'; did you mean 'elr'"):
        make_headline(records, tmp_path, methods=("erl",))


def test_what_was_not_measured_is_one_line(add, tmp_path):
    with pytest.raises(HarnessError, match="nothing is measured yet; to begin: harness run"):
        make_headline([], tmp_path)
    record = add("baseline", 0, 0.5)
    with pytest.raises(HarnessError, match=r"unknown score on synthweb:small 'val'.*: test"):
        make_headline([record], tmp_path, split="val")


def gains(records, home):
    """Return by row its baseline and its gain, rounded; and the notes."""
    board = make_headline(records, home)
    rows = {
        row.method: (row.baseline, row.over_baseline and round(row.over_baseline.estimate))
        for row in board.rows
    }
    return board.baseline, rows, board.notes


def test_a_baseline_with_another_budget_serves_the_rows_that_share_it(add, tmp_path):
    records = [add("baseline epochs=5", 0, 0.4), add("pci epochs=5", 0, 0.6)]
    name, rows, notes = gains(records, tmp_path)
    assert name == "baseline epochs=5"
    assert rows == {"pci epochs=5": (name, 20), "baseline epochs=5": ("", None)}
    assert notes == ()
    assert make_headline(records, tmp_path).rows[1].is_baseline


def test_a_row_without_a_baseline_of_its_budget_has_no_difference(add, tmp_path):
    records = [
        add("baseline epochs=5", 0, 0.4),
        add("pci", 0, 0.6),
        add("huawei", 0, 0.5),
    ]
    _, rows, notes = gains(records, tmp_path)
    assert rows == {
        "pci": ("", None),
        "huawei": ("", None),
        "baseline epochs=5": ("", None),
    }
    (note,) = notes
    assert note == (
        "No difference is shown for pci, huawei: no baseline has the same budget; to run one: "
        "harness run --plugin baseline"
    )
    records = [add("baseline", 0, 0.4), add("pci epochs=5", 0, 0.6)]
    _, rows, (note,) = gains(records, tmp_path)
    assert rows["pci epochs=5"] == ("", None)
    assert note.endswith("harness run --plugin baseline --stage epochs=5")


def test_each_row_is_compared_with_the_baseline_of_its_budget(add, tmp_path):
    records = [
        add("baseline", 0, 0.4),
        add("baseline epochs=50", 0, 0.5),
        add("baseline lr=0.2", 0, 0.45),
        add("pci", 0, 0.6),
        add("pci epochs=50", 0, 0.8),
        add("pci lr=0.2 row=B2", 0, 0.7),
        add("huawei crops=1", 0, 0.3),
    ]
    name, rows, notes = gains(records, tmp_path)
    assert name == "baseline"
    assert rows == {
        "pci epochs=50": ("baseline epochs=50", 30),
        "pci lr=0.2 row=B2": ("baseline lr=0.2", 25),
        "pci": ("baseline", 20),
        "baseline epochs=50": ("", None),
        "baseline lr=0.2": ("baseline", 5),
        "baseline": ("", None),
        "huawei crops=1": ("baseline", -10),
    }
    shares = {row.method: row.images_share for row in make_headline(records, tmp_path).rows}
    assert shares == dict.fromkeys(rows, 1.0)  # of a longer baseline too: of the plain one's
    (note,) = notes
    assert note.startswith("Differences are from the baseline of the same budget: pci epochs=50 fr")


def said_first(records, home):
    """Return the first sentences of the site's board."""
    values = board_values(make_headline(records, home), {one.id: one for one in records})
    return values["lead"]


def test_the_site_begins_with_what_beats_the_baseline(add, tmp_path):
    base = [add("baseline", seed, 0.4) for seed in range(3)]
    good = [add("pci", seed, 0.9) for seed in range(3)]
    one = [add("huawei", 0, 0.95)]
    also = [add("elr", seed, 0.89) for seed in range(3)]
    bad = [add("gce", seed, 0.1) for seed in range(3)]
    assert said_first([*base, *good, *one, *also, *bad], tmp_path) == (
        "pci beats the baseline by 50.0 points of top-1 (95 % interval 50.0 to 50.0), and so does "
        "elr. huawei scores higher, but is not told apart from the baseline (fewer than 3 seeds). "
        "elr cannot be told apart from pci. To run pci:"
    )
    assert said_first([*base, *bad], tmp_path).startswith(
        "No method of 1 is shown to beat the baseline. To run"
    )
    assert said_first([*base, *one], tmp_path).startswith(
        "No method of 1 is shown to beat the baseline; huawei, with 55.0 points of top-1 (95 % in"
    )
    assert said_first(base, tmp_path) == "Only the baseline was run on this data."
    assert said_first(good, tmp_path).startswith("No run of the plain baseline is on this data")


def test_of_a_shrunk_and_a_whole_baseline_each_serves_its_like(add, tmp_path):
    records = [
        add(label, 0, share, full_size=whole, created=f"2024-05-0{day}T12:00:00+00:00")
        for day, (label, share, whole) in enumerate(
            [
                ("baseline", 0.4, False),
                ("baseline", 0.6, True),
                ("pci", 0.5, False),
                ("pci", 0.9, True),
            ],
            1,
        )
    ]
    found = make_headline(records, tmp_path).rows
    spans = {(r.plugin, r.size): r.over_baseline and round(r.over_baseline.estimate) for r in found}
    assert spans == {
        ("pci", "full"): 30,
        ("pci", "shrunk"): 10,
        ("baseline", "full"): None,
        ("baseline", "shrunk"): None,
    }


def test_what_others_made_is_marked_in_every_form(add, tmp_path):
    records = [add("baseline", 0, 0.4), add("pci", 0, 0.6), add("pci", 1, 0.6)]
    origins = {records[2].id: Origin(source="sent.zip", sha256="")}
    shown = show("headline", records, tmp_path, Filters(), None, origins)
    text, _ = text_of(shown, "table", 100)
    assert "pci \N{DAGGER}" in text
    assert "\N{DAGGER} Runs that others made, some or all: pci from sent.zip." in text
    assert max(map(len, text.splitlines())) <= 100
    said = json.loads(text_of(shown, "json")[0])
    assert [(row["method"], row["submitted"]) for row in said] == [
        ("pci", ["sent.zip"]),
        ("baseline", []),
    ]
    assert "sent.zip" in text_of(shown, "csv")[0]
    everything = show("all", records, tmp_path, Filters(), None, origins)
    assert "from sent.zip" in text_of(everything, "table", 100)[0]
    assert set(everything.frame["submitted"][everything.frame["kind"] == "measured"]) == {
        (),
        ("sent.zip",),
    }
    own = text_of(show("headline", records, tmp_path, Filters(), None, {}), "table", 100)[0]
    assert "\N{DAGGER}" not in own


@pytest.mark.parametrize("kind", ["noise", "all"])
def test_what_others_made_is_marked_among_noise_too(make_record, make_noise, tmp_path, kind):
    noise = (make_noise(), make_noise(stage="second"))
    own, other = make_record(noise=noise), make_record(label="pci", plugin="pci", noise=noise)
    origins = {other.id: Origin(source="sent.zip", sha256="")}
    shown = show(kind, [own, other], tmp_path, Filters(methods=("baseline", "pci")), None, origins)
    (table,) = (one for one in shown.tables if "noise detection" in one.title)
    assert table.frame["method"].tolist() == [*["baseline"] * 2, *["pci \N{DAGGER}"] * 2]
    assert table.notes == ("\N{DAGGER} Runs that others made, some or all: pci from sent.zip.",)
    said = json.loads(text_of(shown, "json")[0])
    by_method = {row["method"]: row["submitted"] for row in said if row.get("kind") != "published"}
    assert by_method == {"baseline": [], "pci": ["sent.zip"]}
    assert "sent.zip" in text_of(shown, "csv")[0]
    unmarked = show(kind, [own, other], tmp_path, Filters(), None, {})
    assert "\N{DAGGER}" not in text_of(unmarked, "table")[0]


def columns(text):
    """Return the columns of a plain table by name: its cells, one for each line."""
    rule = next(line for line in text.splitlines() if line.startswith("---"))
    table = text.partition("\n\n")[2].partition("\n\n")[0].splitlines()
    places = [slice(*found.span()) for found in re.finditer("-+", rule)]
    return {table[0][one].strip(): [line[one].strip() for line in table[2:]] for one in places}


def test_a_narrow_board_keeps_gain_cost_and_trust_and_wraps_no_name(add, make_noise, tmp_path):
    names = ("baseline", "malong_curriculum", "pci")
    records = [
        add(label, seed, 0.4 + 0.1 * place, seconds=60.0 + 60 * place, noise=(make_noise(),))
        for place, label in enumerate(names)
        for seed in range(3 + place)
    ]
    shown = show("headline", records, tmp_path, Filters(), {records[-1].id})
    kept = ["rank", "method", "top-1 %", "vs baseline"]
    wide = ["top-5", "AUC", "seeds", "cost", "time", "images", "verified"]
    for width, found in (
        (80, [*kept, "seeds", "cost", "verified"]),
        (100, ["rank", "tie", *kept[1:], "AUC", "seeds", "cost", "verified"]),
        (140, ["rank", "tie", *kept[1:], *wide]),
    ):
        text, _ = text_of(shown, "table", width)
        assert list(columns(text)) == found
        assert columns(text)["method"] == list(reversed(names))
        assert columns(text)["cost"] == ["x3", "x2", "x1"]
        left_out = [n for n in ("images", "time", "top-5", "AUC", "tie") if n not in found]
        line = f"Too narrow for: {', '.join(left_out)}; -o board.csv has all."
        assert (line in text.splitlines()) == bool(left_out)


def test_rows_that_differ_by_their_epoch_keep_it_however_narrow(add, tmp_path):
    terms = [("test", "10 views", epoch) for epoch in ("last", "best")]
    records = [add(name, 0, 0.5, terms=terms) for name in ("baseline", "pci")]
    shown = show("headline", records, tmp_path, Filters(epoch="all"), ())
    assert columns(text_of(shown, "table", 60)[0])["epoch"].count("best") == 2
