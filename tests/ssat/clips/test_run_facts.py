"""Rate and remaining time from the rows of a run."""

from datetime import UTC, datetime, timedelta

import pytest

from ssat.clips.rows import StatusRow
from ssat.clips.run_facts import COLLECTOR_LOCK, RunFacts, describe_status
from ssat.clips.status import StatusLog
from ssat.locks import FolderLock
from ssat.workspace import Workspace

BEGIN = datetime(2026, 1, 2, tzinfo=UTC)


def collected(workspace: Workspace, *seconds: float) -> None:
    """A run that wants 20 clips and settled one at each of `seconds` after its begin."""
    RunFacts("run", BEGIN, wanted=20, candidates=1000).save(workspace)
    log = StatusLog(workspace)
    for number, at in enumerate(seconds):
        log.append(
            StatusRow(
                clip_id=f"clip{number}",
                attempt=1,
                status="ok" if number % 2 == 0 else "gone",
                error_class=None if number % 2 == 0 else "GONE",
                started_at=BEGIN + timedelta(seconds=at - 1),
                elapsed_s=1.0,
                run_id="run",
            )
        )


def test_rate_and_remaining_time_of_a_run_that_has_ended(workspace: Workspace) -> None:
    collected(workspace, *range(60, 660, 60))
    status = describe_status(workspace)
    assert (status.per_hour, status.collected_per_hour) == (60.0, 30.0)
    assert status.remaining_s == pytest.approx(15 * 600 / 5)


def test_a_list_that_is_through_before_the_ranks_are_there(workspace: Workspace) -> None:
    collected(workspace, *range(60, 660, 60))
    RunFacts("run", BEGIN, wanted=20, candidates=14).save(workspace)
    assert describe_status(workspace).remaining_s == 4 * 60
    RunFacts("run", BEGIN, wanted=20, candidates=10).save(workspace)
    assert describe_status(workspace).remaining_s == 0


def test_only_the_last_hour_counts(workspace: Workspace) -> None:
    collected(workspace, *range(0, 7200, 10))
    status = describe_status(workspace)
    assert (status.per_hour, status.collected_per_hour) == (360.0, 180.0)


@pytest.mark.parametrize("now", [BEGIN - timedelta(days=1), BEGIN + timedelta(seconds=30)])
def test_a_clock_that_is_set_back_makes_no_enormous_rate(workspace: Workspace, now: datetime) -> None:
    collected(workspace, 60, 120, 180, 240, -86_400)
    with FolderLock(workspace.clips, "", COLLECTOR_LOCK):
        status = describe_status(workspace, now)
    assert status.at_work is not None
    assert status.per_hour == 60.0
    assert status.remaining_s == pytest.approx(17 * 240 / 2)


def test_no_run_yet(workspace: Workspace) -> None:
    status = describe_status(workspace)
    assert (status.wanted, status.per_hour, status.remaining_s, status.at_work) == (None,) * 4
