"""Numbers as they are printed become accuracies; recipes become what a run is asked for."""

from __future__ import annotations

import pytest

from harness.assembly.activation import Activation
from harness.assembly.recipe import UNREAD, resolve
from harness.errors import HarnessError
from harness.knobs import parse_knobs
from harness.spec import DataSpec, RunSpec
from harness_plugins.huawei import Huawei
from harness_plugins.malong import MalongCurriculum
from harness_plugins.pci import Pci
from harness_reproductions.decks.rows import Row, Table, cli_options, errors, percent, shares, top5
from harness_reproductions.tables import all_tables


def asked_for():
    """Every recipe once, by what is asked for."""
    rows = [row for table in all_tables() for row in table.rows if row.recipe is not None]
    return {repr(cli_options(row.recipe)): row.recipe for row in rows}


def test_errors_and_shares_become_accuracies_in_percent():
    assert percent("51.78", "74.76").percent == {"top1": 51.78, "top5": 74.76}
    assert top5("73.60").percent == {"top5": 73.6}
    assert errors("30.28", "12.98").percent == {"top1": 69.72, "top5": 87.02}
    runs = shares("0.9358", "0.947", "0.940")
    assert (runs.percent, runs.top5) == ({"top5": 94.7}, "0.947")


@pytest.mark.parametrize(
    ("recipe", "plugin", "knobs"),
    [
        (Huawei(noise="reweight_class"), "huawei", {"noise": "reweight_class"}),
        (
            Huawei(members=("semantic", "none"), ensemble="mean"),
            "huawei",
            {"members": "semantic,none", "ensemble": "mean"},
        ),
        (MalongCurriculum(), "malong_curriculum", {}),
        (
            MalongCurriculum(highly_noisy_percent=25, weights=(1.0, 0.5, 0.25)),
            "malong_curriculum",
            {"highly_noisy_percent": "25", "weights": "1,0.5,0.25"},
        ),
    ],
)
def test_a_recipe_is_asked_for_by_the_knobs_that_differ(recipe, plugin, knobs):
    assert cli_options(recipe) == (plugin, knobs)
    assert type(recipe)(**parse_knobs(plugin, type(recipe), knobs)) == recipe


def test_a_recipe_of_no_installed_plugin_is_refused():
    with pytest.raises(HarnessError, match="no installed plugin is builtins:int; install"):
        cli_options(3)


def test_a_table_finds_its_rows_and_names_each_source_once():
    rows = tuple(Row(name=name, recipe=Pci(row=name), source="s") for name in ("A", "B1"))
    table = Table(team="t", name="t", title="T", edition="webvision2", rows=rows)
    assert table["B1"] is rows[1]
    assert table.source == "s"
    with pytest.raises(HarnessError, match=r"unknown row of t 'b1'; did you mean 'B1'\? rows: A"):
        table["b1"]


def test_every_recipe_is_asked_for_and_resolves_to_a_plan():
    recipes = asked_for()
    assert len(recipes) > 60
    for name, recipe in recipes.items():
        plugin, knobs = cli_options(recipe)
        spec = RunSpec(plugin=plugin, knobs=knobs, data=DataSpec.parse("synthweb:tiny"))
        run = Activation(spec)
        assert run.method == recipe, name
        plan = resolve(run.spec, run.hooks, UNREAD)
        assert plan.members, name
        assert min(stage.stage.epochs for stage in plan.stages) >= 1, name


def test_every_recipe_is_asked_for_as_its_records_are_called():
    """A method's page finds the runs of a published row by this name."""
    called = {}
    for recipe in asked_for().values():
        plugin, knobs = cli_options(recipe)
        spec = RunSpec(plugin=plugin, knobs=knobs)
        called[spec.label] = Activation(spec).spec.label
    assert {asked: label for asked, label in called.items() if asked != label} == {}
    assert len(called) > 50
