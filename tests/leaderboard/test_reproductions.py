"""A run of every recipe finds its published numbers on the board, and no others."""

from __future__ import annotations

from collections import defaultdict

import pytest

from harness.assembly.identity import effective_knobs
from harness.spec import DataSpec, RunSpec
from harness_leaderboard.published import corresponding, load_published
from harness_reproductions.decks.rows import cli_options
from harness_reproductions.tables import all_tables

EDITIONS = {"webvision1": "WebVision 1.0", "webvision2": "WebVision 2.0"}


def reproduced():
    """Each row of the reproductions with numbers or a recipe, and where it has which numbers."""
    for table in all_tables():
        for row in table.rows:
            where = (EDITIONS[table.edition], table.split, table.protocol)
            yield row, {(*where, *row.published.items())} if row.published else set()


def published(row):
    """Where the board's row has which numbers, in the reproductions' words."""
    protocol = "unstated" if row.protocol == "protocol not stated" else row.protocol
    cells = {"top1": row.top1_percent, "top5": row.top5_percent}
    known = [(name, float(value)) for name, value in cells.items() if value is not None]
    return row.edition, row.split, protocol.removesuffix(", best of 5 runs"), *known


RECIPES = defaultdict(set)
for _row, _numbers in reproduced():
    if _row.recipe is not None:
        RECIPES[_row.recipe] |= _numbers


@pytest.fixture(scope="module")
def rows():
    return load_published()


@pytest.fixture
def found_by(make_record, rows):
    """What a run of a recipe finds on the board."""

    def find(recipe):
        plugin, texts = cli_options(recipe)
        spec = RunSpec(plugin=plugin, knobs=texts, data=DataSpec.parse("synthweb:tiny"))
        knobs = effective_knobs(recipe, spec)
        values = {name: (knob.value, knob.origin) for name, knob in knobs.items()}
        return corresponding(make_record(plugin=plugin, label=spec.label, knobs=values), rows)

    return find


def test_a_run_of_a_recipe_finds_its_numbers_and_no_others(found_by):
    found = {recipe: set(map(published, found_by(recipe))) for recipe in RECIPES}
    assert len(found) > 60
    wrong = [cli_options(recipe) for recipe in RECIPES if found[recipe] != RECIPES[recipe]]
    assert wrong == []


def test_every_row_with_a_plugin_is_found_by_a_recipe(found_by, rows):
    found = [row for recipe in RECIPES for row in found_by(recipe)]
    assert [row for row in rows if row.plugin and row not in found] == []
