import json
import threading

from click.testing import CliRunner

from flows.cli import cli
from tasks import progress


def test_a_bar_writes_to_standard_error_alone(capfd):
    with progress.progress_bar("clips", 3) as advance:
        for _ in range(3):
            advance()
    output, errors = capfd.readouterr()
    assert output == ""
    assert "clips" in errors
    assert "3/3" in errors


def test_bars_of_nested_stages_share_the_terminal(capfd):
    with progress.progress_bar("outer", 2) as outer:
        with progress.progress_bar("inner", 5) as inner:
            inner(5)
        outer(2)
    errors = capfd.readouterr().err
    assert "2/2" in errors
    assert "5/5" in errors


def test_bars_may_be_advanced_from_threads(capfd):
    with progress.progress_bar("frames", 400) as advance:
        threads = [threading.Thread(target=lambda: [advance() for _ in range(100)]) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert "400/400" in capfd.readouterr().err


def test_work_that_counts_by_itself_opens_and_closes_its_bar(capfd):
    progress.show_progress(1, 4, "steps")
    progress.show_progress(4, 4, "steps")
    assert "4/4" in capfd.readouterr().err  # a bar without a terminal is printed when it closes
    progress.show_progress(4, 4, "steps")  # told twice: no second bar
    assert capfd.readouterr().err == ""


def test_a_bar_left_open_by_work_that_failed_is_closed(capfd):
    progress.show_progress(1, 4, "steps")
    progress.close_progress()
    assert "1/4" in capfd.readouterr().err


def test_queue_and_failures_are_shown(capfd):
    with progress.progress_bar("clips, shard 1", 5) as bar:
        bar.in_flight(0)
        for _ in range(2):
            bar.started()
        assert bar.now().queued == 3
        bar.ended()
        bar()
        bar.failed("GONE: removed\nby the uploader")
        now = bar.now()
        assert (now.done, now.queued, now.in_flight, now.failures) == (1, 3, 1, 1)
    errors = capfd.readouterr().err
    assert "3 queued, 1 in flight, 1 failed" in " ".join(errors.split())
    assert "last failure of clips, shard 1: GONE: removed by the uploader" in " ".join(errors.split())


def test_pieces_of_work_that_are_no_units_have_a_queue_of_their_own():
    with progress.progress_bar("frames, 5 shards", 1500) as bar:
        bar.in_flight(2, 3, "shards")
        bar(200)
        now = bar.now()
    assert (now.done, now.total, now.queued, now.in_flight, now.pieces) == (200, 1500, 3, 2, "shards")


def test_lines_of_json_take_the_place_of_the_table(capfd, monkeypatch):
    monkeypatch.setattr(progress, "EVERY_S", 0.0)
    progress.progress_as_json(True)
    try:
        with progress.progress_bar("clips", 3) as bar:
            bar.in_flight(1)
            bar()
            bar.failed("NET: timed out")
    finally:
        progress.progress_as_json(False)
    output, errors = capfd.readouterr()
    assert output == ""
    first, last = [json.loads(line) for line in errors.splitlines()]
    assert {name: first[name] for name in ("progress", "done", "total", "queued", "in_flight")} == {
        "progress": "clips",
        "done": 1,
        "total": 3,
        "queued": 1,
        "in_flight": 1,
    }
    assert (last["failures"], last["last_failure"]) == (1, "NET: timed out")


def test_the_choice_of_json_ends_with_the_command(capfd):
    outcome = CliRunner().invoke(cli, ["evaluate", "--gt", "nowhere", "--results", "nowhere", "--json"])
    assert outcome.exit_code != 0
    with progress.progress_bar("clips", 1) as advance:
        advance()
    errors = capfd.readouterr().err
    assert "1/1" in errors
    assert "{" not in errors
