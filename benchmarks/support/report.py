"""How a benchmark says what it found: a table, a JSON file under results, and an exit code for its claims."""

from __future__ import annotations

import json
import os
import platform
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

RESULTS = Path(__file__).parents[1] / "results"


@dataclass(frozen=True)
class Claim:
    """A figure and what it must reach."""

    what: str
    value: float
    at_least: float

    @property
    def holds(self) -> bool:
        return self.value >= self.at_least


def report(name: str, conditions: str, rows: Sequence[dict[str, Any]], claims: Sequence[Claim]) -> None:
    """Print the table, write results/<name>.json; exit code 1 where a claim does not hold."""
    console = Console()
    table = Table(title=name.replace("_", " "), caption=conditions)
    for column in rows[0]:
        table.add_column(column, justify="left" if isinstance(rows[0][column], str) else "right")
    for row in rows:
        table.add_row(*(str(value) for value in row.values()))
    console.print(table)
    for claim in claims:
        state = "holds" if claim.holds else "does NOT hold"
        console.print(f"{claim.what}: {claim.value:.3f}, at least {claim.at_least}: {state}", highlight=False)
    RESULTS.mkdir(exist_ok=True)
    content = {
        "benchmark": name,
        "conditions": conditions,
        "machine": f"{platform.system()} {platform.machine()}, {os.cpu_count()} CPUs",
        "rows": list(rows),
        "claims": [{**asdict(claim), "holds": claim.holds} for claim in claims],
    }
    (RESULTS / f"{name}.json").write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    if not all(claim.holds for claim in claims):
        sys.exit(1)
