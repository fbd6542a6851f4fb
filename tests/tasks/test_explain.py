"""Why an identity of a benchmark began and ended."""

import json
from collections.abc import Callable
from pathlib import Path

import cv2
import pytest
from click.testing import CliRunner

from flows.cli.benchmark import command
from ssat.errors import InputError
from ssat.mot.rows import read_results, write_results
from ssat.pipeline.inputs import read_frames
from ssat.pipeline.pipeline import track_frames
from ssat.pipeline.settings import BenchmarkSettings
from ssat.tracking.tracker import Tracker
from ssat.workspace import Workspace
from tasks.explain import Asked, check_explain, explain_in_benchmark
from tasks.finished import locate_benchmark
from tests.ssat.pipeline.results import BENCHMARK


def _settings(mot: Path, **values: object) -> BenchmarkSettings:
    return BenchmarkSettings.build("quick", {"mot": str(mot), "split": "train", "tracker": "box", **values})


def test_the_false_alarm_of_a_sequence_is_explained_beside_its_results(
    make_sequence: Callable[..., Path], workspace: Workspace, tmp_path: Path
) -> None:
    settings = _settings(make_sequence(tmp_path, "WALK-01"), association={"lost_seconds": 0.3})
    located = locate_benchmark(workspace, settings)
    answer = explain_in_benchmark(workspace, settings, Asked("WALK-01", 4))
    assert "frame 5: began: no free track was near enough" in answer.explanation
    assert "ended: lost since frame 6, longer than 0.3 s" in answer.explanation
    text, picture = answer.explained
    assert (text.parent, text.name) == (located.folder, "WALK-01.explain-4.txt")
    assert text.read_text() == answer.explanation
    assert cv2.imread(str(picture)).shape[1] == 640
    # Identities are those of the result file: the same association tracks again.
    (prepared,) = located.prepared
    frames = read_frames(prepared.sequence.frame_source(prepared.frames), prepared.frames)
    tracked = track_frames(frames, prepared.detections, Tracker(settings.association, 10.0))
    write_results(tmp_path / "r.txt", tracked.frames, tracked.ids, tracked.boxes, tracked.scores)
    rows = read_results(tmp_path / "r.txt")
    assert rows.frames[rows.ids == 4].tolist() == [5]
    with pytest.raises(InputError, match="identity 99 does not occur"):
        explain_in_benchmark(workspace, settings, Asked("WALK-01", 99))


def test_appearance_is_among_the_costs(
    make_sequence: Callable[..., Path], workspace: Workspace, tmp_path: Path
) -> None:
    settings = _settings(make_sequence(tmp_path), tracker="ssat", embedder="colour")
    assert "appearance" in explain_in_benchmark(workspace, settings, Asked("WALK-01", 4)).explanation


@pytest.mark.parametrize("text", ["WALK-01", "7", ":7", "WALK-01:", "WALK-01:x", "WALK-01:0"])
def test_another_form_is_refused(text: str) -> None:
    with pytest.raises(InputError, match="expected SEQUENCE:ID, such as MOT17-09-FRCNN:7"):
        Asked.parse(text)


def test_what_cannot_be_explained_is_refused_before_any_work(
    make_sequence: Callable[..., Path], tmp_path: Path
) -> None:
    mot = make_sequence(tmp_path)
    assert Asked.parse("A:B:3") == Asked("A:B", 3)
    with pytest.raises(InputError, match="no sequence WALK-09; this benchmark has WALK-01"):
        check_explain(_settings(mot), Asked("WALK-09", 1))
    with pytest.raises(InputError, match="tracker sort explains nothing; expected tracker ssat or box"):
        check_explain(_settings(mot, tracker="sort"), Asked("WALK-01", 1))


def test_the_command_explains_a_benchmark_that_is_done(
    make_sequence: Callable[..., Path], workspace: Workspace, tmp_path: Path
) -> None:
    mot = make_sequence(tmp_path)
    settings = _settings(mot)
    located = locate_benchmark(workspace, settings)
    located.folder.mkdir(parents=True)
    BENCHMARK.save(located.result_file)
    options = ["--mot", str(mot), "--split", "train", "--tracker", "box", "--workspace", str(workspace.root), "--json"]
    outcome = CliRunner().invoke(command, [*options, "--explain", "WALK-01:1"], catch_exceptions=False)
    answer = json.loads(outcome.stdout.splitlines()[-1])
    assert answer["explanation"].startswith("identity 1\n")
    assert [Path(path).name for path in answer["explained"]] == ["WALK-01.explain-1.txt", "WALK-01.explain-1.png"]
    plain = CliRunner().invoke(command, options, catch_exceptions=False)
    assert answer == {
        **json.loads(plain.stdout.splitlines()[-1]),
        "explanation": answer["explanation"],
        "explained": answer["explained"],
    }
