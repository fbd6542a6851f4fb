import json
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from click.testing import CliRunner
from rich.console import Console

from flows.cli.collect import command
from flows.stage import stage_named
from ssat.clips.collected import CollectResult, SkippedFiles
from ssat.clips.folders import Skipped
from ssat.clips.lists import RejectedRow
from ssat.clips.rows import StatusRow
from ssat.clips.status import StatusLog
from ssat.errors import InputError
from ssat.workspace import Workspace

RESULT = CollectResult(
    source="videos",
    clips=1,
    wanted=2,
    attempted=1,
    collected=1,
    candidates=1,
    left=0,
    by_class={"ok": 1},
    rejected=0,
    rejected_rows=(),
    skipped=0,
    skipped_files=(),
    archives=(),
    stopped="",
    seconds=1.0,
    run_id="r",
    roster="clips/roster.parquet",
    pause_s=0,
)


def _show(result: CollectResult) -> None:
    stage_named("collect").show(result, Workspace.open("workspace"), Console())


def test_status_counts_by_class_without_collecting(workspace: Workspace) -> None:
    log = StatusLog(workspace)
    for clip_id, state, found in (
        ("a", "ok", None),
        ("b", "dead", "MEDIA"),
        ("c", "gone", "GONE"),
        ("d", "gone", "GONE"),
    ):
        message = {"GONE": f"[youtube] {clip_id}: Private video", "MEDIA": "no pictures"}.get(str(found))
        row = StatusRow(clip_id=clip_id, attempt=1, status=state, started_at=datetime.now(UTC))
        log.append(replace(row, error_class=found, error_message=message))
    arguments = ["--workspace", str(workspace.root), "--status", "--json"]
    result = CliRunner().invoke(command, arguments, catch_exceptions=False)
    status = json.loads(result.stdout.splitlines()[-1])
    assert (status["ranks"], status["by_class"]) == (0, {"ok": 1, "GONE": 2, "MEDIA": 1})
    assert (status["at_work"], status["per_hour"], status["remaining_s"]) == (None, None, None)
    assert "private, removed or never there" in result.stderr
    assert [(reason["clips"], reason["error_class"], reason["message"]) for reason in status["reasons"]] == [
        (2, "GONE", "[youtube] …: Private video"),
        (1, "MEDIA", "no pictures"),
    ]
    assert (status["reasons"][0]["examples"], status["reasons_left_out"]) == (["c", "d"], 0)
    assert "[youtube] …: Private video" in result.stderr


def test_status_of_a_workspace_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such folder"):
        CliRunner().invoke(command, ["--workspace", str(tmp_path / "no"), "--status"], catch_exceptions=False)
    assert not (tmp_path / "no").exists()


def test_rejected_rows_are_named_by_file_and_line(capsys: pytest.CaptureFixture[str]) -> None:
    rows = (RejectedRow(7, "x", "duplicate clip"),)
    _show(replace(RESULT, by_class={"ok": 1}, source="l.csv", rejected=30, rejected_rows=rows))
    shown = capsys.readouterr()
    assert "rejected: l.csv: line 7: duplicate clip" in shown.err
    assert "rejected: l.csv: 29 more rows" in shown.err
    assert "1 of 2 clips; it has no more to try" in shown.err
    assert "1 of 2 wanted" in shown.out
    assert "lists the reasons" not in shown.err


def test_skipped_files_are_counted_with_a_remedy_and_failures_lead_to_their_reasons(
    capsys: pytest.CaptureFixture[str],
) -> None:
    group = SkippedFiles("videos", Skipped("a link to nothing", "restore it", 7, ("a",)))
    _show(replace(RESULT, by_class={"ok": 1, "NET": 2}, skipped=7, skipped_files=(group,)))
    shown = capsys.readouterr().err
    assert "skipped: videos: 7 left out (a link to nothing): a, …; restore it" in shown
    assert "ssat collect --status lists the reasons" in shown


def test_help_shows_an_example_and_every_setting() -> None:
    text = CliRunner().invoke(command, ["--help"]).output
    for words in ("ssat collect --source kinetics-600_test.csv", "--retry-dead", "--url-template", "--status"):
        assert words in text
