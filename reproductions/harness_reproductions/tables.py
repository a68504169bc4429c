"""Every published table and claim, by name."""

from __future__ import annotations

from harness.errors import HarnessError, unknown
from harness_reproductions.decks import bigvideo, huawei, huawei_claims, malong, pci, wechat
from harness_reproductions.decks.claims import Claim
from harness_reproductions.decks.rows import CategoryComparison, NetworkCost, Table


def all_tables() -> tuple[Table, ...]:
    """Return every table and list of the five decks, in the order of the years."""
    teams = (malong, bigvideo, huawei, pci, wechat)
    return tuple(table for team in teams for table in team.TABLES)


def all_claims() -> tuple[Claim, ...]:
    """Return every claim, in the order of the tables' teams."""
    teams = (malong, bigvideo, huawei_claims, pci, wechat)
    return tuple(claim for team in teams for claim in team.CLAIMS)


def all_category_comparisons() -> tuple[CategoryComparison, ...]:
    """Return the comparisons of two rows by category."""
    return (malong.CATEGORIES,)


def all_costs() -> tuple[NetworkCost, ...]:
    """Return the published cost of networks; ``harness estimate`` computes the same column."""
    return bigvideo.NETWORKS


def find_tables(name: str) -> tuple[Table, ...]:
    """Return the table of this name, or all of a team's: "huawei/clustering", "huawei".

    Raises HarnessError naming the nearest table if there is none.
    """
    tables = all_tables()
    found = tuple(table for table in tables if name in (table.name, table.name.partition("/")[0]))
    if not found:
        raise HarnessError(unknown("table", name, (table.name for table in tables)))
    return found


def claims_of(table: Table) -> tuple[Claim, ...]:
    """Return the claims about a row of the table; the other row may be of another table."""
    rows = {id(row) for row in table.rows}  # two decks may print equal rows
    return tuple(claim for claim in all_claims() if id(claim.subject) in rows)


def find_claim(name: str) -> Claim:
    """Return the claim of this name; raises HarnessError naming the nearest if there is none."""
    claims = {claim.name: claim for claim in all_claims()}
    if name not in claims:
        raise HarnessError(unknown("claim", name, claims))
    return claims[name]
