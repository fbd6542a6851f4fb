import json
from collections.abc import Callable
from pathlib import Path

import cv2
import pytest
from click.testing import CliRunner, Result

from flows.cli.probe import command
from flows.cli.track import command as track
from ssat.errors import InputError
from tests.ssat.embedding.test_reid_onnx import network


def _run(*arguments: object) -> Result:
    return CliRunner().invoke(command, [str(argument) for argument in arguments])


@pytest.fixture
def place(tmp_path: Path) -> tuple[str, Path]:
    return "--workspace", tmp_path / "ws"


def test_figures_of_one_coat_each_are_told_apart(
    make_sequence: Callable[..., Path], place: tuple[str, Path], tmp_path: Path
) -> None:
    folder = make_sequence(tmp_path, n_frames=18)
    named = ("--embedder", "untrained", "--embedder", "colour", "--gaps-seconds", "0.5,3")
    outcome = _run(folder, *place, *named, "--output", tmp_path / "out", "--json")
    assert outcome.exit_code == 0, outcome.output
    (answer,) = json.loads(outcome.stdout.splitlines()[-1])["inputs"]
    assert (answer["frames"], answer["detections"], answer["purity"]) == (18, 54, 1.0)
    assert [feature["embedder"] for feature in answer["features"]] == ["untrained", "colour"]
    gaps = {gap["gap_seconds"]: gap for gap in answer["features"][1]["score"]["gaps"]}
    # 13 frames have one half a second later; in the fourth a figure is missed.
    assert (gaps[0.5]["positives"], gaps[0.5]["auc"]) == (38, 1.0)
    assert gaps[3.0]["auc"] is None
    assert any(note.startswith("gap 3 s: 0 pairs of one person") for note in answer["notes"])
    labelled = {gap["gap_seconds"]: gap["auc"] for gap in answer["features"][1]["labelled"]}
    assert labelled[0.5] == 1.0
    calibration = answer["features"][1]["score"]["calibration"]
    assert calibration["scale"] * calibration["same_frame_median"] == pytest.approx(0.8)
    assert answer["features"][1]["tau"]["tau1"] == pytest.approx(0.56 / calibration["scale"])
    written = json.loads((tmp_path / "out" / "WALK-01.probe.json").read_text())
    assert written["features"] == answer["features"]
    picture = cv2.imread(str(tmp_path / "out" / "WALK-01.probe.png"))
    assert picture is not None
    again = _run(folder, *place, "--output", tmp_path / "out")
    assert isinstance(again.exception, InputError)
    assert "--overwrite" in str(again.exception)


def test_tracking_starts_from_a_stored_calibration(
    make_sequence: Callable[..., Path], place: tuple[str, Path], tmp_path: Path
) -> None:
    folder = make_sequence(tmp_path, n_frames=18)
    outcome = _run(folder, *place, "--embedder", "colour", "--gaps-seconds", "0.5", "--store-calibration", "--json")
    assert outcome.exit_code == 0, outcome.output
    answer = json.loads(outcome.stdout.splitlines()[-1])
    median = answer["inputs"][0]["features"][0]["score"]["calibration"]["same_frame_median"]
    stored = Path(answer["stored"]["colour"])
    assert json.loads(stored.read_text())["same_frame_median"] == pytest.approx(median, abs=1e-6)
    given = (str(folder), *map(str, place), "--embedder", "colour", "--no-video", "--json")
    tracked = CliRunner().invoke(track, given)
    assert tracked.exit_code == 0, tracked.output
    extensions = json.loads(tracked.stdout.splitlines()[-1])["beyond_the_paper"]
    assert f"stored median {round(median, 6):g}" in extensions
    paper = CliRunner().invoke(track, (*given, "--preset", "paper", "--overwrite"))
    assert "beyond_the_paper" not in json.loads(paper.stdout.splitlines()[-1])


def test_a_calibration_on_too_few_pairs_is_not_stored(
    make_sequence: Callable[..., Path], place: tuple[str, Path], tmp_path: Path
) -> None:
    folder = make_sequence(tmp_path, n_frames=6)
    outcome = _run(folder, *place, "--embedder", "colour", "--gaps-seconds", "0.1", "--store-calibration", "--json")
    assert outcome.exit_code == 0, outcome.output
    assert json.loads(outcome.stdout.splitlines()[-1])["stored"] == {"colour": None}
    assert "calibration of colour: not stored: it rests on" in outcome.stderr
    tracked = CliRunner().invoke(track, (str(folder), *map(str, place), "--embedder", "colour", "--no-video", "--json"))
    notes = json.loads(tracked.stdout.splitlines()[-1])["notes"]
    assert any("too few to calibrate; the appearance distance was left as it is" in note for note in notes)


def test_one_half_of_a_sequence(make_sequence: Callable[..., Path], place: tuple[str, Path], tmp_path: Path) -> None:
    folder = make_sequence(tmp_path, n_frames=18)
    outcome = _run(folder, *place, "--split", "val-half", "--gaps-seconds", "0.1", "--json")
    (answer,) = json.loads(outcome.stdout.splitlines()[-1])["inputs"]
    assert answer["frames"] == 8  # CenterTrack's halves: frames 11 … 18
    assert [feature["embedder"] for feature in answer["features"]] == ["colour"]


def test_five_frames_say_how_little_was_measured(
    make_sequence: Callable[..., Path], place: tuple[str, Path], tmp_path: Path
) -> None:
    folder = make_sequence(tmp_path, n_frames=5)
    outcome = _run(folder, *place, "--embedder", "colour", "--output", tmp_path / "out", "--json")
    assert outcome.exit_code == 0, outcome.output
    (answer,) = json.loads(outcome.stdout.splitlines()[-1])["inputs"]
    assert [gap["auc"] for gap in answer["features"][0]["score"]["gaps"]] == [None, None, None]
    # Frame 4 misses a figure, frame 5 has a false alarm: 2 * 3 + 2 + 2 pairs of one person.
    assert answer["notes"][0].startswith("gap 0.1 s: 10 pairs of one person and")
    assert answer["notes"][1].startswith("gap 1 s: 0 pairs of one person and 0 of two, fewer than 30")
    assert answer["notes"][3].startswith("the calibration rests on")
    assert (tmp_path / "out" / "WALK-01.probe.png").is_file()


def test_a_camera_that_moves_most_of_the_time_leaves_few_links(
    make_sequence: Callable[..., Path], place: tuple[str, Path], tmp_path: Path
) -> None:
    folder = make_sequence(tmp_path, n_frames=18)
    # The camera is still in the first four frames, then it pans by 30 pixels a frame, there and back.
    found, lines = folder / "det" / "det.txt", []
    for line in found.read_text().splitlines():
        frame, person, left, *rest = line.split(",")
        panned = float(left) + (30 if int(frame) > 4 and int(frame) % 2 else 0)
        lines.append(",".join([frame, person, str(panned), *rest]))
    found.write_text("\n".join(lines) + "\n")
    outcome = _run(folder, *place, "--embedder", "colour", "--gaps-seconds", "0.1", "--rejoin-seconds", "0", "--json")
    assert outcome.exit_code == 0, outcome.output
    (answer,) = json.loads(outcome.stdout.splitlines()[-1])["inputs"]
    assert answer["linked"] == pytest.approx(11 / 54)
    assert answer["notes"][0].startswith("only 20 % of 54 detections could be linked to another frame")


def test_footage_that_cannot_be_probed(
    make_sequence: Callable[..., Path], place: tuple[str, Path], tmp_path: Path
) -> None:
    labels = make_sequence(tmp_path, "LABELS-01", images=False)
    alone = make_sequence(tmp_path, "ALONE-01")
    (alone / "det" / "det.txt").write_text("".join(f"{frame},-1,10,10,24,60,0.9\n" for frame in range(1, 13)))
    once = make_sequence(tmp_path, "ONCE-01")
    (once / "det" / "det.txt").write_text("3,-1,10,10,24,60,0.9\n3,-1,90,10,24,60,0.9\n")
    for folder, message in (
        (labels, "no frames"),
        (alone, "ALONE-01: 12 detections in 12 frames, never two in one"),
        (once, "ONCE-01: no detection of 1 frames could be linked"),
    ):
        outcome = _run(folder, *place)
        assert isinstance(outcome.exception, InputError), (folder, outcome.output)
        assert message in str(outcome.exception)
    # A camera that pans by a box's width from frame to frame: boxes of two frames do not overlap.
    panned = make_sequence(tmp_path, "PANNED-01")
    seen = [f"{frame},-1,{24 * frame - 20},{top},24,60,0.9" for frame in range(1, 13) for top in (10, 110)]
    (panned / "det" / "det.txt").write_text("\n".join(seen) + "\n")
    outcome = _run(panned, *place)
    assert isinstance(outcome.exception, InputError)
    assert "PANNED-01: no detection of 12 frames could be linked" in str(outcome.exception)
    assert "steadier camera" in str(outcome.exception)
    foreign = network(tmp_path / "grey.onnx", ["b", 1, 32, 16], output=["b", 1])
    refused = _run(make_sequence(tmp_path, "WALK-01"), *place, "--embedder", foreign)
    assert isinstance(refused.exception, InputError)
    assert "unknown layout" in str(refused.exception)
    assert "uint8 (B, H, W, 3)" in str(refused.exception)
    missing = _run(alone, *place, "--embedder", "missing.safetensors")
    assert isinstance(missing.exception, InputError)
    assert "neither a file" in str(missing.exception)
