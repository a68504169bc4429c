"""Print the board's file of published rows, generated from the decks (with ``python -m``)."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from typing import Any

from harness.knobs import knobs_of
from harness_reproductions.decks.rows import Row, Table, cli_options
from harness_reproductions.tables import all_tables

EDITIONS = {"webvision1": "WebVision 1.0", "webvision2": "WebVision 2.0"}
PROTOCOLS = {"unstated": "protocol not stated"}


def published_json() -> str:
    """Return all rows with numbers as the JSON file of the board."""
    return json.dumps(list(_rows()), indent=1, ensure_ascii=False) + "\n"


def _rows() -> Iterator[dict[str, Any]]:
    met: set[tuple[str, str]] = set()
    for table in all_tables():
        for row in table.rows:
            # BigVideo's challenge row is in its own table and in Huawei's table.
            if row.printed and (row.source, row.name) not in met:
                yield _row(table, row)
                met.add((row.source, row.name))


def _row(table: Table, row: Row) -> dict[str, Any]:
    assert row.printed
    plugin, options = cli_options(row.recipe) if row.recipe else ("", {})
    values = knobs_of(type(row.recipe)) if row.recipe else {}
    return {
        "team": row.team or table.team.format(row.name),
        "label": table.label.format(row.name),
        "table": table.title.partition(":")[0],
        "edition": EDITIONS[table.edition],
        "split": table.split,
        "protocol": PROTOCOLS.get(table.protocol, table.protocol),
        "printed_top1": row.printed.top1,
        "printed_top5": row.printed.top5,
        "printed_runs": list(row.printed.runs),
        "printed_as": row.printed.unit,
        "plugin": plugin,
        "options": options,
        "knobs": {name: str(getattr(row.recipe, name)) for name in values},
        "source": row.source,
    }


if __name__ == "__main__":
    sys.stdout.write(published_json())
