"""A reproduction as plain values, for the terminal table, the JSON and the report."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from harness.scores import METRICS
from harness_reproductions.decks.rows import (
    CategoryComparison,
    NetworkCost,
    Row,
    Table,
    cli_options,
)
from harness_reproductions.judging import Judgement, judge_all
from harness_reproductions.tables import all_category_comparisons, all_costs, find_tables
from harness_reproductions.trials import Trials

if TYPE_CHECKING:
    from harness.statistics.intervals import Interval
    from harness_reproductions.decks.claims import Claim

LEVEL_MARGIN = 0.01  # one point: how far an unshrunk recipe may be from its published accuracy


def results(tables: Sequence[Table], claims: Sequence[Claim], trials: Trials) -> dict[str, Any]:
    """Return tables, verdicts and cost, with all accuracies and differences in points.

    Raises HarnessError if predictions of a record are missing or damaged.
    """
    from harness.statistics.verdicts import OUTCOMES

    findings = judge_all(claims, trials)
    shown = [_finding(finding) for finding in findings]
    _adjust(shown)
    counts = Counter(finding.verdict.outcome for finding in findings)
    records = trials.records()
    rows = {id(row) for table in tables for row in table.rows}  # two decks may print equal rows
    teams = Counter(table.name.partition("/")[0] for table in tables)
    stages = {
        stage.key: record.cost.stage_seconds[stage.name]
        for record in records
        for stage in record.stages
    }
    return {
        "data": str(trials.plain.data),
        "editions": sorted({record.data.edition for record in records}),
        "seeds": list(trials.seeds),
        "shrunk": not all(record.full_size for record in records),
        "verdicts": {outcome: counts[outcome] for outcome in OUTCOMES},
        "tables": [_table(table, trials) for table in tables],
        "claims": shown,
        "categories": [
            found
            for comparison in all_category_comparisons()
            if {id(comparison.better), id(comparison.worse)} <= rows
            and (found := _categories(comparison, trials))
        ],
        # Of no claim or run: only with all tables of its team.
        "costs": [_cost(cost) for cost in all_costs()]
        if teams["bigvideo"] == len(find_tables("bigvideo"))
        else [],
        "runs": len(records),
        "stages": len(stages),
        "training_seconds": round(sum(stages.values()), 1),
        "hardware": dict(sorted(records[0].cost.hardware.items())) if records else {},
        "versions": dict(sorted(records[0].cost.versions.items())) if records else {},
    }


def _adjust(shown: Sequence[dict[str, Any]]) -> None:
    """Add Holm's adjusted p-value to each claim: of fifty claims some look true by chance."""
    from harness.statistics.verdicts import holm

    judged = [claim for claim in shown if claim["p_value"] is not None]
    for claim, adjusted in zip(judged, holm([c["p_value"] for c in judged]), strict=True):
        claim["p_holm"] = float(adjusted)


def _table(table: Table, trials: Trials) -> dict[str, Any]:
    return {
        "name": table.name,
        "title": table.title,
        "source": table.source,
        "published_on": f"{table.edition} {table.split}, {table.protocol} protocol",
        "doubt": table.doubt,
        "rows": [_row(row, table, trials) for row in table.rows],
    }


def _row(row: Row, table: Table, trials: Trials) -> dict[str, Any]:
    values: dict[str, Any] = {
        "name": row.name,
        "published": dict(row.published),
        "source": row.source,
        "doubt": row.doubt,
        "measured": {},
        "seeds": [],
        "seconds": 0.0,
        "asked": "",
        "reasons": [],
        "level": "",
    }
    if row.recipe is None:
        return values
    trial = trials[row.recipe]
    for metric in METRICS:
        found = trials.accuracy(row.recipe, table.protocol, metric)
        if found is not None:
            values["measured"][metric] = points(found)
    records = list(trial.records.values())
    if records:
        values["asked"] = _options(row.recipe)
        values["protocol"] = f"{trial.split()}, {trial.protocol(table.protocol)}"
        values["level"] = _level(row, table, trials)
    values["seeds"] = sorted(trial.records)
    values["seconds"] = round(sum(record.cost.wall_seconds for record in records), 1)
    values["reasons"] = list(trial.reasons)
    return values


def _level(row: Row, table: Table, trials: Trials) -> str:
    """Judge a row's accuracy; only an unshrunk recipe on the published data allows it."""
    from harness.statistics.verdicts import judge_level

    records = trials[row.recipe].records.values()
    found = trials.accuracy(row.recipe, table.protocol, "top5")
    if found is None or "top5" not in row.published:
        return ""
    verdict = judge_level(
        found,
        published=row.published["top5"] / 100,
        margin=LEVEL_MARGIN,
        full_size=all(record.full_size for record in records),
        published_data=all(record.data.plugin == table.edition for record in records)
        and trials[row.recipe].split() == table.split,
    )
    return verdict.outcome


def _categories(comparison: CategoryComparison, trials: Trials) -> dict[str, Any]:
    """Count categories as on the slide, by top-1 means over seeds; empty if there is no run."""
    better, worse = comparison.better.recipe, comparison.worse.recipe
    seeds = trials.shared_seeds(better, worse)
    if not seeds:
        return {}
    rise = np.subtract(
        *(trials.by_category(recipe, "10 views", "top1", seeds) for recipe in (better, worse))
    )
    return {
        "better": comparison.better.name,
        "worse": comparison.worse.name,
        "published": [comparison.improved, comparison.reduced, comparison.unchanged],
        "measured": [int((rise > 0).sum()), int((rise < 0).sum()), int((rise == 0).sum())],
        "source": comparison.source,
        "doubt": comparison.doubt,
    }


def _cost(cost: NetworkCost) -> dict[str, Any]:
    where = f"--data webvision2 --gpus {cost.gpus}"
    return {
        "name": cost.name,
        "imagenet_top1": cost.imagenet_top1,
        "published": f"{cost.days:g} days of {cost.gpus} {cost.device}",
        "estimate": f"harness estimate {_options(cost.recipe)} {where} --measure",
        "source": cost.source,
    }


def _options(recipe: object) -> str:
    """Return the recipe as options of the command line."""
    plugin, knobs = cli_options(recipe)
    return " ".join(
        [f"--plugin {plugin}", *(f"--set {name}={value}" for name, value in knobs.items())]
    )


def _finding(finding: Judgement) -> dict[str, Any]:
    claim, verdict = finding.claim, finding.verdict
    return {
        "claim": claim.text,
        "metric": claim.metric,
        "kind": claim.kind,
        "better": claim.better.name,
        "worse": claim.worse.name,
        "published": claim.points,
        "source": claim.source,
        "doubt": claim.doubt,
        "measured": points(verdict.interval) if verdict.interval else None,
        "p_value": verdict.interval.p_value() if verdict.interval else None,
        "p_holm": None,
        "verdict": verdict.outcome,
        # A reason begins with the measured interval, which has its own column.
        "reason": verdict.reason.partition(": ")[2] if verdict.interval else verdict.reason,
        "seeds_needed": verdict.seeds_needed,
    }


def points(interval: Interval) -> dict[str, float]:
    """Return an interval in points: 100 times its shares."""
    return {
        "mean": round(100 * interval.estimate, 3),
        "low": round(100 * interval.low, 3),
        "high": round(100 * interval.high, 3),
    }
