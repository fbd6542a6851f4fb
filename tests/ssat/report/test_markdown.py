from pathlib import Path

import pytest

from ssat.errors import InputError
from ssat.report.markdown import fill_page, markdown_table


def test_blocks_are_replaced_and_prose_stays(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("Before.\n<!-- a -->\nold\n<!-- /a -->\nBetween.\n<!-- b -->\n<!-- /b -->\nAfter.\n")
    table = markdown_table([{"x": "one|two", "n": 1}])
    fill_page(page, {"a": table, "b": r"\1 is no group"})
    assert page.read_text() == (
        "Before.\n<!-- a -->\n| x | n |\n| --- | ---: |\n| one\\|two | 1 |\n<!-- /a -->\n"
        "Between.\n<!-- b -->\n\\1 is no group\n<!-- /b -->\nAfter.\n"
    )
    with pytest.raises(InputError, match="<!-- c -->"):
        fill_page(page, {"c": "x"})
