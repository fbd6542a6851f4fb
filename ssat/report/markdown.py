"""Tables and figures in a page of Markdown whose prose is written by hand."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ssat.errors import InputError
from ssat.workspace import committed


def markdown_table(rows: Sequence[Mapping[str, Any]]) -> str:
    """Return the rows as a Markdown table with the columns of the first row; first column left, others right."""
    columns = list(rows[0])
    lines = [columns, ["---", *["---:"] * (len(columns) - 1)]]
    lines += [[str(row[column]).replace("|", "\\|") for column in columns] for row in rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def fill_page(path: Path, blocks: Mapping[str, str]) -> None:
    """Replace what stands between `<!-- NAME -->` and `<!-- /NAME -->` by the block of that name.

    Raises:
        InputError: the page lacks the two marks of a block.
    """
    page = path.read_text(encoding="utf-8")
    for name, content in blocks.items():
        between = re.compile(rf"(<!-- {re.escape(name)} -->\n).*?(<!-- /{re.escape(name)} -->)", re.DOTALL)
        page, found = between.subn(lambda match, text=content: f"{match[1]}{text}\n{match[2]}", page)  # type: ignore[misc]
        if found != 1:
            raise InputError(f"{path}: expected <!-- {name} --> and <!-- /{name} --> once, found {found}")
    with committed(path) as temporary:
        temporary.write_text(page, encoding="utf-8")
