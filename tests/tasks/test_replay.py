"""Sequences of a benchmark tracked again online."""

import json
from collections.abc import Callable
from pathlib import Path

from click.testing import CliRunner

from flows.cli.benchmark import command
from ssat.pipeline.inputs import read_frames
from ssat.pipeline.pipeline import track_frames
from ssat.pipeline.settings import BenchmarkSettings
from ssat.tracking.tracker import Tracker
from ssat.workspace import Workspace
from tasks.finished import locate_benchmark
from tasks.live import LiveFrame
from tasks.replay import show_live
from tests.ssat.pipeline.results import BENCHMARK


def _settings(mot: Path, **values: object) -> BenchmarkSettings:
    return BenchmarkSettings.build("quick", {"mot": str(mot), "split": "train", "tracker": "box", **values})


def test_live_frames_are_those_of_the_result_without_confirmation(
    make_sequence: Callable[..., Path], workspace: Workspace, tmp_path: Path
) -> None:
    settings = _settings(make_sequence(tmp_path, "WALK-01"))
    shown: list[LiveFrame] = []
    show_live(workspace, settings, shown.append)
    (prepared,) = locate_benchmark(workspace, settings).prepared
    frames = read_frames(prepared.sequence.frame_source(prepared.frames), prepared.frames)
    tracked = track_frames(frames, prepared.detections, Tracker(settings.association, 10.0))
    assert [frame.frame for frame in shown] == list(prepared.frames)
    rows = [(frame.frame, track.id) for frame in shown for track in frame.tracks]
    assert rows == list(zip(tracked.frames.tolist(), tracked.ids.tolist(), strict=True))


def test_live_does_not_show_a_track_before_it_is_confirmed(
    make_sequence: Callable[..., Path], workspace: Workspace, tmp_path: Path
) -> None:
    settings = _settings(make_sequence(tmp_path, "WALK-01"), association={"confirm_hits": 3})
    shown: list[LiveFrame] = []
    show_live(workspace, settings, shown.append)
    assert [len(frame.tracks) for frame in shown[:3]] == [0, 0, 3]


def test_the_command_prints_the_sequences_one_after_the_other(
    make_sequence: Callable[..., Path], workspace: Workspace, tmp_path: Path
) -> None:
    mot = tmp_path / "mot"
    for name in ("WALK-01", "WALK-02"):
        make_sequence(mot, name)
    located = locate_benchmark(workspace, _settings(mot))
    located.folder.mkdir(parents=True)
    BENCHMARK.save(located.result_file)
    options = ["--mot", str(mot), "--split", "train", "--tracker", "box", "--workspace", str(workspace.root)]
    outcome = CliRunner().invoke(command, [*options, "--live", "--json"], catch_exceptions=False)
    *lines, answer = [json.loads(line) for line in outcome.stdout.splitlines()]
    frames = [(name, number) for name in ("WALK-01", "WALK-02") for number in range(1, 13)]
    assert [(line["sequence"], line["frame"]) for line in lines] == frames
    assert set(lines[0]["tracks"][0]) == {"id", "box", "score"}
    assert answer["overall"] == BENCHMARK.overall.as_json()
