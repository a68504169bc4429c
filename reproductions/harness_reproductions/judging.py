"""From claims and trials to verdicts."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from harness_reproductions.decks.claims import Claim
from harness_reproductions.decks.rows import Protocol, Row
from harness_reproductions.tables import all_tables
from harness_reproductions.trials import Trials

if TYPE_CHECKING:
    from harness.statistics.verdicts import Verdict

EQUAL_WITHIN = 0.01  # one point of accuracy: what "no difference" allows


@dataclass(frozen=True, kw_only=True)
class Judgement:
    """One claim with its verdict here."""

    claim: Claim
    verdict: Verdict


def judge_all(claims: Iterable[Claim], trials: Trials) -> list[Judgement]:
    """Judge claims in order. If several shrink to the same runs, only the first is tested."""
    protocols = {id(row): table.protocol for table in all_tables() for row in table.rows}
    tested: dict[object, str] = {}
    findings = []
    for claim in claims:
        sides = (
            protocols.get(id(claim.better), "unstated"),
            protocols.get(id(claim.worse), "unstated"),
        )
        same = _runs_of(claim, sides, trials)
        verdict = _judge(claim, sides, trials, tested.get(same))
        if verdict.interval is not None:
            tested.setdefault(same, claim.name)
        findings.append(Judgement(claim=claim, verdict=verdict))
    return findings


def _judge(
    claim: Claim, sides: tuple[Protocol, Protocol], trials: Trials, twin: str | None
) -> Verdict:
    from harness.statistics.intervals import paired_difference
    from harness.statistics.verdicts import judge_difference, judge_equality, not_run, not_tested

    missing = _missing(claim, trials)
    if missing is not None:
        return not_run(missing)
    why = _untestable(claim, sides, trials)
    if why is None and twin is not None:
        why = f"tested by the same runs as the claim: {twin}"
    if why is not None:
        return not_tested(why)
    seeds = trials.shared_seeds(claim.better.recipe, claim.worse.recipe)
    better, worse = (
        trials.correct(row.recipe, protocol, claim.metric, seeds)
        for row, protocol in zip((claim.better, claim.worse), sides, strict=True)
    )
    interval = paired_difference(better, worse)
    if claim.kind == "equal":
        return judge_equality(interval, margin=EQUAL_WITHIN)
    published = None if claim.points is None else claim.points / 100
    return judge_difference(interval, published=published)


def _missing(claim: Claim, trials: Trials) -> str | None:
    """Return which side of a claim that we could run has no run, or None."""
    rows: tuple[Row, Row] = (claim.better, claim.worse)
    if any(row.recipe is None for row in rows):
        return None
    for row in rows:
        trial = trials[row.recipe]
        if not trial.records:
            why = [one for one in trial.reasons if one != "not run yet"]  # the outcome says that
            return ": ".join([f"{row.name!r} has no run here", *filter(None, ["; ".join(why)])])
    return None


def _untestable(claim: Claim, sides: tuple[Protocol, Protocol], trials: Trials) -> str | None:
    """Return why a claim whose runs are there cannot be tested with them, or None if it can."""
    rows: tuple[Row, Row] = (claim.better, claim.worse)
    for row in rows:
        if row.recipe is None:
            return f"{row.name!r} is not a recipe that we can run"
    first, second = (trials[row.recipe] for row in rows)
    if first.networks == second.networks and first.protocol(sides[0]) == second.protocol(sides[1]):
        return "both sides shrink to the same network and training here"
    if not trials.shared_seeds(claim.better.recipe, claim.worse.recipe):
        return "its two sides share no seed"
    return None


def _runs_of(claim: Claim, sides: tuple[Protocol, Protocol], trials: Trials) -> object:
    """Return a key that is equal for claims that are tested by the same runs."""
    if claim.better.recipe is None or claim.worse.recipe is None:
        return id(claim)
    better, worse = trials[claim.better.recipe], trials[claim.worse.recipe]
    own = (better.protocol(sides[0]), worse.protocol(sides[1]))
    return (better.networks, worse.networks, own, claim.metric, claim.kind)
