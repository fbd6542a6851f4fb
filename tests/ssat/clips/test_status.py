from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from ssat.clips import status as st
from ssat.clips.rows import STATUS_SCHEMA, StatusRow
from ssat.clips.status import StatusLog, counts_by_class, latest, load_status
from ssat.errors import WorkspaceError
from ssat.workspace import Workspace

BEGIN = st.now()


def _row(clip_id: str, attempt: int, state: str, error_class: str | None = None, at: int = 0) -> StatusRow:
    return StatusRow(
        clip_id=clip_id,
        attempt=attempt,
        status=state,
        error_class=error_class,
        started_at=BEGIN + timedelta(seconds=at),
        run_id="r",
    )


def test_a_row_is_there_as_soon_as_it_is_appended_and_in_parquet_after_commit(workspace: Workspace) -> None:
    log = StatusLog(workspace)
    log.append(_row("a", 1, st.OK))
    assert load_status(workspace)["clip_id"].to_pylist() == ["a"]
    log.commit()
    assert not (workspace.clips / "status" / "journal.jsonl").exists()
    table = load_status(workspace)
    assert table.schema == STATUS_SCHEMA
    assert table["started_at"].to_pylist() == [BEGIN]


def test_what_a_killed_collector_left_is_found_and_its_torn_line_dropped(workspace: Workspace) -> None:
    StatusLog(workspace).append(_row("a", 1, st.OK))
    journal = workspace.clips / "status" / "journal.jsonl"
    with journal.open("a") as file:
        file.write('{"clip_id": "b", "attem')
    again = StatusLog(workspace)
    again.append(_row("c", 1, st.OK, at=1))
    again.commit()
    assert load_status(workspace)["clip_id"].to_pylist() == ["a", "c"]


def test_killed_between_parquet_and_journal_nothing_is_doubled(workspace: Workspace) -> None:
    log = StatusLog(workspace)
    log.append(_row("a", 1, st.OK))
    journal = workspace.clips / "status" / "journal.jsonl"
    text = journal.read_text()
    log.commit()
    journal.write_text(text)
    assert load_status(workspace).num_rows == 1
    StatusLog(workspace)
    assert load_status(workspace).num_rows == 1


def test_many_parts_are_merged_without_a_loss(workspace: Workspace) -> None:
    log = StatusLog(workspace)
    for number in range(80):
        log.append(_row(f"clip{number}", 1, st.OK, at=number))
        log.commit()
    assert len(list((workspace.clips / "status").glob("part-*"))) < 40
    assert load_status(workspace)["clip_id"].to_pylist() == [f"clip{number}" for number in range(80)]


def test_the_latest_attempt_is_the_truth_and_is_what_is_counted(workspace: Workspace) -> None:
    log = StatusLog(workspace)
    for row in (
        _row("a", 1, st.FAILED, "NET", at=0),
        _row("b", 1, st.FAILED, "MEDIA", at=1),
        _row("a", 2, st.OK, at=2),
        _row("b", 2, st.DEAD, "MEDIA", at=3),
        _row("c", 1, st.FAILED, "NET", at=4),
        _row("c", 1, st.WAITING, "RATE", at=5),  # a rate limit costs no attempt: its number is the last one's
        _row("d", 1, st.GONE, "GONE", at=6),
    ):
        log.append(row)
    status = load_status(workspace)
    assert status.num_rows == 7
    states = {row["clip_id"]: row["status"] for row in latest(status).to_pylist()}
    assert states == {"a": st.OK, "b": st.DEAD, "c": st.WAITING, "d": st.GONE}
    assert counts_by_class(status) == {"ok": 1, "GONE": 1, "MEDIA": 1, "waiting": 1}


def test_nothing_collected_yet(workspace: Workspace) -> None:
    assert load_status(workspace).num_rows == 0
    assert counts_by_class(load_status(workspace)) == {}


def test_a_status_folder_that_cannot_be_made(workspace: Workspace) -> None:
    workspace.clips.mkdir()
    (workspace.clips / "status").touch()
    with pytest.raises(WorkspaceError, match="status: not writable"):
        StatusLog(workspace)


def test_a_clock_that_is_set_back_does_not_make_an_old_attempt_the_truth(workspace: Workspace) -> None:
    log = StatusLog(workspace)
    at = datetime(2026, 1, 2, tzinfo=UTC)
    log.append(StatusRow(clip_id="a", attempt=1, status="dead", error_class="NET", started_at=at))
    log.commit()
    # A day earlier by the clock, yet later.
    log.append(StatusRow(clip_id="a", attempt=2, status="ok", started_at=at - timedelta(days=1)))
    assert counts_by_class(load_status(workspace)) == {"ok": 1}
    log.commit()
    assert latest(load_status(workspace))["attempt"].to_pylist() == [2]


def test_a_damaged_part_is_named(workspace: Workspace) -> None:
    log = StatusLog(workspace)
    log.append(StatusRow(clip_id="a", attempt=1, status="ok", started_at=datetime.now(UTC)))
    log.commit()
    (part,) = (workspace.clips / "status").glob("part-*.parquet")
    part.write_bytes(b"PAR1")
    with pytest.raises(WorkspaceError, match=r"part-00000001\.parquet: not a readable part of the status table"):
        load_status(workspace)


def test_clips_that_lost_pictures_are_among_the_reasons(workspace: Workspace) -> None:
    log = StatusLog(workspace)
    log.append(replace(_row("a", 1, "ok"), error_message="2 pictures left out: their times go back"))
    log.append(_row("b", 1, "ok"))
    (reason,) = st.failure_reasons(load_status(workspace))
    assert (reason.outcome, reason.clips, reason.examples) == ("ok", 1, ("a",))
    assert reason.message.startswith("2 pictures left out")
