"""Every claim follows from the rows that it names."""

from __future__ import annotations

from collections import Counter
from functools import partial

import pytest

from harness.errors import HarnessError
from harness_reproductions.decks import bigvideo, huawei_claims, malong, pci, wechat
from harness_reproductions.decks.claims import Claim
from harness_reproductions.decks.rows import Row, errors
from harness_reproductions.tables import all_claims, all_tables, claims_of, find_claim

ONE, OTHER = (Row(name=name, recipe=None, source="s") for name in ("one", "other"))


def test_there_are_more_than_forty_claims_each_with_a_unique_name():
    claims = all_claims()
    counts = {team: len(team.CLAIMS) for team in (malong, bigvideo, huawei_claims, pci, wechat)}
    assert counts == {malong: 30, bigvideo: 10, huawei_claims: 41, pci: 17, wechat: 16}
    assert len(claims) == sum(counts.values()) >= 40
    names = Counter(claim.name for claim in claims)
    assert max(names.values()) == 1
    pairs = Counter((id(c.better), id(c.worse), c.metric, c.text) for c in claims)
    assert max(pairs.values()) == 1


def test_a_claim_is_about_two_recipes_of_one_edition():
    tables = {id(row): table for table in all_tables() for row in table.rows}
    for claim in all_claims():
        better, worse = tables[id(claim.better)], tables[id(claim.worse)]
        assert better.edition == worse.edition, claim.name
        assert claim.better is not claim.worse, claim.name
        assert claim.better.recipe is None or claim.better.recipe != claim.worse.recipe, claim.name
        # Numbers of different splits have no difference; one from prose needs a word of doubt.
        assert claim.points is None or better.split == worse.split, claim.name
        assert claim.stated in (None, "difference") or claim.doubt, claim.name


def test_a_difference_is_that_of_the_printed_numbers_unless_the_deck_states_one():
    best, worst = (Row(name=n, recipe=None, source="s", printed=errors(*p)) for n, p in
                   (("best", ("27.91", "10.82")), ("worst", ("30.28", "12.98"))))  # fmt: skip
    claim = partial(Claim, text="t", better=best, worse=worst, source="s")
    assert (claim(metric="top1").points, claim(metric="top5").points) == (2.37, 2.16)
    assert (claim(stated=0.5).points, claim(stated=None).points) == (0.5, None)
    assert claim(better=ONE).points is None
    assert sum(claim.points is not None for claim in all_claims()) == 95


def test_those_that_no_run_of_ours_can_test_are_few():
    found = {c.text for c in all_claims() if None in (c.better.recipe, c.worse.recipe)}
    assert found == {
        "Large batches, warm-up and cosine beat the official baseline",
        "Twice the epochs help ResNet-50",
        "Five times the epochs help ResNet-101",
        "Five times the epochs help ResNet-152",
        "SE blocks hurt the official ResNet-152",
    }


def test_a_claim_is_found_by_name_and_by_the_table_that_it_is_about():
    text = "Reweighting by density beats choosing the clean cluster"
    claim = find_claim(f"{text} (top-5)")
    assert (claim.points, claim.better.recipe.noise) == (4.0, "density_weight")
    assert claim in claims_of(huawei_claims.CLUSTERING)
    with pytest.raises(HarnessError, match="unknown claim 'Weak tags beat weighted label'; did"):
        find_claim("Weak tags beat weighted label")
    every = [claim for table in all_tables() for claim in claims_of(table)]
    assert Counter(map(id, every)) == Counter(map(id, all_claims()))


def test_a_trick_that_hurts_is_what_its_claim_is_about():
    for kind, subject in (("beats", ONE), ("equal", ONE), ("hurts", OTHER)):
        claim = Claim(text="t", better=ONE, worse=OTHER, source="s", kind=kind, metric="top1")
        assert claim.subject is subject
        assert claim.name == "t (top-1)"


@pytest.mark.parametrize(
    ("kind", "points", "wanted"),
    [("beats", -0.1, "above 0"), ("beats", 0.0, "above 0"), ("hurts", -1, "above 0"),
     ("equal", 0.2, "must be 0")],
)  # fmt: skip
def test_a_difference_of_the_wrong_sign_is_refused(kind, points, wanted):
    with pytest.raises(HarnessError, match=rf"claim 't' publishes {points} points: .*{wanted}"):
        Claim(text="t", better=ONE, worse=OTHER, stated=points, source="s", kind=kind)
