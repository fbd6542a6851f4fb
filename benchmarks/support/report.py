"""How a benchmark says what it found: a table, a JSON file under results, and an exit code for its claims."""

from __future__ import annotations

import json
import math
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
_WIDTH = 160  # of a table that goes into a file


@dataclass(frozen=True)
class Claim:
    """A figure and the bound that it must keep: at least, or at most."""

    what: str
    value: float
    at_least: float = -math.inf
    at_most: float = math.inf

    @property
    def holds(self) -> bool:
        return bool(self.at_least <= self.value <= self.at_most)

    def __str__(self) -> str:
        bound = f"at most {self.at_most:g}" if self.at_most < math.inf else f"at least {self.at_least:g}"
        return f"{self.what}: {self.value:.3f}, {bound}: {'holds' if self.holds else 'does NOT hold'}"


def report(name: str, conditions: str, rows: Sequence[dict[str, Any]], claims: Sequence[Claim]) -> None:
    """Print the table, write results/<name>.json; exit code 1 where a claim does not hold."""
    console = Console()
    if not console.is_terminal:
        console.width = _WIDTH
    table = Table(title=name.replace("_", " "), caption=conditions)
    for column in rows[0]:
        table.add_column(column, justify="left" if isinstance(rows[0][column], str) else "right")
    for row in rows:
        table.add_row(*(str(value) for value in row.values()))
    console.print(table)
    for claim in claims:
        console.print(str(claim), highlight=False)
    RESULTS.mkdir(exist_ok=True)
    content = {
        "benchmark": name,
        "conditions": conditions,
        "machine": f"{platform.system()} {platform.machine()}, {os.cpu_count()} CPUs",
        "rows": list(rows),
        "claims": [_content(claim) for claim in claims],
    }
    (RESULTS / f"{name}.json").write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    if not all(claim.holds for claim in claims):
        sys.exit(1)


def _content(claim: Claim) -> dict[str, Any]:
    bounds = {
        name: value for name, value in asdict(claim).items() if not (isinstance(value, float) and math.isinf(value))
    }
    return {**bounds, "holds": claim.holds}
