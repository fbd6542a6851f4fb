"""Rows of the clip tables."""

from dataclasses import fields
from datetime import UTC, datetime

import pytest

from ssat.clips.roster import ROSTER_SCHEMA
from ssat.clips.rows import STATUS_SCHEMA, CollectedClip, StatusRow

AT = datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)


def test_rows_have_the_columns_of_their_tables() -> None:
    assert [field.name for field in fields(StatusRow)] == STATUS_SCHEMA.names
    assert ["rank", *(field.name for field in fields(CollectedClip))] == ROSTER_SCHEMA.names


def test_a_line_gives_the_row_again() -> None:
    row = StatusRow(clip_id="a", attempt=2, status="ok", started_at=AT, fps=29.97, path="clips/trimmed/00/a.mp4")
    assert StatusRow.parse(row.line()) == row
    assert row.line() == (
        '{"clip_id": "a", "attempt": 2, "status": "ok", "fps": 29.97, "path": "clips/trimmed/00/a.mp4", '
        '"started_at": "2026-01-02T03:04:05.678901+00:00"}\n'
    )


def test_columns_of_another_version_are_ignored_and_a_torn_line_is_refused() -> None:
    line = StatusRow(clip_id="a", attempt=1, status="ok", started_at=AT).line()
    assert StatusRow.parse(line.replace("{", '{"colour": 3, ', 1)).clip_id == "a"
    with pytest.raises(ValueError, match="Unterminated string"):
        StatusRow.parse(line[:5])
    with pytest.raises(TypeError, match="attempt"):
        StatusRow.parse(line.replace("attempt", "attempted"))
