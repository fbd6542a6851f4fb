"""`ssat track` as a person meets it: live, explained, interrupted, on a full disk, on input that breaks."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from click.testing import CliRunner, Result

from flows.cli.track import command
from ssat import track_video
from ssat.embedding.embedder import Embedder
from ssat.errors import InputError
from ssat.mot.rows import read_results
from tests.docs.pages import python_blocks

_BOX = ("--preset", "quick", "--tracker", "box")


def _run(*arguments: object) -> Result:
    return CliRunner().invoke(command, [str(argument) for argument in arguments])


@pytest.fixture
def video(make_sequence: Callable[..., Path], tmp_path: Path) -> tuple[Path, Path]:
    """A video of the walking figures, and their detections."""
    folder = make_sequence(tmp_path)
    path = tmp_path / "walk.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=10, options={"g": "4", "crf": "12"})
        stream.width, stream.height, stream.pix_fmt = 320, 200, "yuv420p"
        for image in sorted((folder / "img1").iterdir()):
            picture = cv2.cvtColor(cv2.imread(str(image)), cv2.COLOR_BGR2RGB)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode(None))
    return path, folder / "det" / "det.txt"


def test_the_api_of_the_readme(
    video: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (shown,) = [code for page, _, code in python_blocks() if page == "README.md"]
    video[0].rename(tmp_path / "street.mp4")
    video[1].rename(tmp_path / "street.txt")
    Embedder.untrained("resnet18", input_size=32).save(tmp_path / "embedder.safetensors")
    monkeypatch.chdir(tmp_path)
    exec(shown, {})  # noqa: S102 - what the README tells people to run
    lines = [line for line in capsys.readouterr().out.splitlines() if "[[" in line]
    assert [int(line.split()[0]) for line in lines] == list(range(1, 13))
    assert "[1 2 3]" in lines[0]


def test_the_api_gives_images_and_tracks(video: tuple[Path, Path]) -> None:
    seen = {}
    for number, image, tracks in track_video(video[0], detections=video[1]):
        assert image is not None
        assert image.shape == (200, 320, 3)
        seen[number] = tracks.ids.tolist()
    assert list(seen) == list(range(1, 13))
    assert seen[1] == seen[3] == [1, 2, 3]


def test_live_prints_every_frame_in_order_and_writes_the_files_too(video: tuple[Path, Path], tmp_path: Path) -> None:
    options = (*_BOX, "--detections", video[1], "--workspace", tmp_path / "ws", "--live", "--show-lost")
    outcome = _run(video[0], *options)
    assert outcome.exit_code == 0, (outcome.output, outcome.exception)
    lines = [json.loads(line) for line in outcome.stdout.splitlines()]
    assert [line["frame"] for line in lines] == list(range(1, 13))
    assert [track["id"] for track in lines[0]["tracks"]] == [1, 2, 3]
    assert len(lines[3]["tracks"]) == 2
    rows = read_results(tmp_path / "ws" / "tracks" / "walk.txt")
    assert len(rows) == sum(len(line["tracks"]) for line in lines)


def test_files_wait_for_the_confirmation_that_live_tracks_wait_for_in_public(
    video: tuple[Path, Path], tmp_path: Path
) -> None:
    """The preset `strong` shows a track from its third hit on; files have it from its first."""
    options = ("--detections", video[1], "--no-video")
    live = _run(video[0], *options, "--live", "--workspace", tmp_path / "live")
    assert live.exit_code == 0, (live.output, live.exception)
    lines = [json.loads(line)["tracks"] for line in live.stdout.splitlines()]
    assert [len(tracks) for tracks in lines[:3]] == [0, 0, 3]
    outcome = _run(video[0], *options, "--workspace", tmp_path / "ws", "--json")
    rows = read_results(tmp_path / "ws" / "tracks" / "walk.txt")
    assert [rows.ids[rows.at(frame)].tolist() for frame in (1, 2, 3)] == [[1, 2, 3]] * 3
    assert set(rows.ids.tolist()) == {1, 2, 3}, "the false alarm of frame 5 was never confirmed"
    answer = json.loads(outcome.stdout.splitlines()[-1])
    assert "confirm hits 3" in answer["beyond_the_paper"]
    assert answer["identities"] == 3


def test_explain_tells_why_the_false_alarm_began_and_ended(video: tuple[Path, Path], tmp_path: Path) -> None:
    options = (*_BOX, "--detections", video[1], "--workspace", tmp_path / "ws", "--no-video", "--json")
    config = ("--association-lost-seconds", "0.3")
    outcome = _run(video[0], *options, *config, "--explain", 4)
    assert outcome.exit_code == 0, (outcome.output, outcome.exception)
    answer = json.loads(outcome.stdout.splitlines()[-1])
    assert "frame 5: began: no free track was near enough" in answer["explanation"]
    assert "frame 6: lost: no free detection was near enough" in answer["explanation"]
    assert "ended: lost since frame 6, longer than 0.3 s" in answer["explanation"]
    text, picture = (Path(path) for path in answer["explained"])
    assert text.name == "walk.explain-4.txt"
    assert cv2.imread(str(picture)).shape[1] == 640
    outcome = _run(video[0], *options, "--overwrite", "--explain", 99)
    assert isinstance(outcome.exception, InputError)
    assert "identity 99 does not occur" in str(outcome.exception)


def test_several_inputs_each_have_their_files(
    video: tuple[Path, Path], make_sequence: Callable[..., Path], tmp_path: Path
) -> None:
    other = make_sequence(tmp_path / "more", "WALK-02", n_frames=6)
    outcome = _run(other, other.parent.parent / "WALK-01", *_BOX, "--workspace", tmp_path / "ws", "--json")
    assert outcome.exit_code == 0, (outcome.output, outcome.exception)
    answer = json.loads(outcome.stdout.splitlines()[-1])
    assert [(one["name"], one["frames"]) for one in answer["inputs"]] == [("WALK-02", 6), ("WALK-01", 12)]
    outcome = _run(other, other, *_BOX, "--workspace", tmp_path / "ws")
    assert "two inputs are called WALK-02" in str(outcome.exception)


def test_one_input_that_fails_does_not_stop_the_others(
    make_sequence: Callable[..., Path], video: tuple[Path, Path], tmp_path: Path
) -> None:
    odd = make_sequence(tmp_path / "more", "ODD-01", n_frames=12)
    frames = [odd / "img1", tmp_path / "missing.mp4", video[0]]
    picture = (odd / "img1" / "000008.jpg").read_bytes()
    cv2.imwrite(str(odd / "img1" / "000008.jpg"), np.zeros((100, 160, 3), np.uint8))
    options = (*_BOX, "--output", tmp_path / "out", "--workspace", tmp_path / "ws", "--json")
    given = (*frames, "--detections", video[1], *options)
    outcome = _run(*given)
    assert isinstance(outcome.exception, InputError)
    assert f"2 of 3 inputs could not be tracked, or not to their end: {frames[1]}, {frames[0]}" in str(
        outcome.exception
    )
    assert "000008.jpg: is 160x100 pixels, expected 320x200 as the first image; the 7 frames before it" in " ".join(
        outcome.stderr.split()
    )
    answer = json.loads(outcome.stdout.splitlines()[-1])
    assert [one["name"] for one in answer["inputs"]] == ["walk"]
    assert [one["input"] for one in answer["failed"]] == [str(frames[1]), str(frames[0])]
    walk = (tmp_path / "out" / "walk.txt").stat()
    # Put right and started again: the finished one is kept, the one that broke is done anew.
    (odd / "img1" / "000008.jpg").write_bytes(picture)
    outcome = _run(frames[0], video[0], "--detections", video[1], *options)
    assert outcome.exception is None, outcome.output
    again = json.loads(outcome.stdout.splitlines()[-1])["inputs"]
    assert [one["frames"] for one in again] == [12, 12]
    assert "tracked before with the same settings: its files are kept" in again[1]["notes"]
    assert (tmp_path / "out" / "walk.txt").stat().st_mtime_ns == walk.st_mtime_ns
    # Other settings, or files that somebody changed, are never replaced unasked.
    outcome = _run(frames[0], video[0], "--detections", video[1], *options, "--min-score", "0.1")
    assert "holds walk.txt, walk.parquet, walk.mp4 already" in str(outcome.stderr)
    (tmp_path / "out" / "img1.txt").write_text("mine\n")
    outcome = _run(frames[0], video[0], "--detections", video[1], *options)
    assert "holds img1.txt, img1.parquet, img1.mp4 already" in str(outcome.stderr)
    assert (tmp_path / "out" / "img1.txt").read_text() == "mine\n"


def test_gaps_are_filled_in_text_and_table_and_not_in_what_is_said_live(
    video: tuple[Path, Path], tmp_path: Path
) -> None:
    options = (*_BOX, "--detections", video[1], "--workspace", tmp_path / "ws", "--no-video", "--overwrite")
    plain = json.loads(_run(video[0], *options, "--json").stdout.splitlines()[-1])
    rows = read_results(Path(plain["results"]))
    assert "interpolated" not in plain
    answer = json.loads(_run(video[0], *options, "--json", "--interpolate-seconds", "0.2").stdout.splitlines()[-1])
    assert answer["interpolated"] == answer["results"]
    filled = read_results(Path(answer["results"]))
    assert len(filled) == len(rows) + 1 == pq.read_table(answer["table"]).num_rows
    assert 1 in filled.ids[filled.at(4)]
    assert 1 not in rows.ids[rows.at(4)]
    live = _run(video[0], *options, "--live", "--interpolate-seconds", "0.2")
    lines = [json.loads(line) for line in live.stdout.splitlines()]
    assert 1 not in [track["id"] for track in lines[3]["tracks"]]
    assert len(read_results(Path(answer["results"]))) == len(filled)


def test_features_are_computed_once_for_the_same_frames_and_boxes(video: tuple[Path, Path], tmp_path: Path) -> None:
    Embedder.untrained("resnet18", input_size=32).save(tmp_path / "embedder.safetensors")
    options = ("--preset", "quick", "--embedder", tmp_path / "embedder.safetensors", "--detections", video[1])
    options = (*options, "--workspace", tmp_path / "ws", "--no-video", "--overwrite", "--json")
    first = json.loads(_run(video[0], *options).stdout.splitlines()[-1])
    text = Path(first["results"]).read_text()
    again = json.loads(_run(video[0], *options).stdout.splitlines()[-1])
    assert "embed" in first["fps_by_stage"]
    assert "embed" not in again["fps_by_stage"]
    assert any("taken from the cache" in note for note in again["notes"])
    assert Path(again["results"]).read_text() == text
    other = tmp_path / "other.txt"
    other.write_text("".join(video[1].read_text().splitlines(keepends=True)[:-1]))
    changed = json.loads(_run(video[0], *options, "--detections", other).stdout.splitlines()[-1])
    assert "embed" in changed["fps_by_stage"]


def test_other_trackers_track_a_video_too(video: tuple[Path, Path], tmp_path: Path) -> None:
    options = ("--preset", "quick", "--detections", video[1], "--workspace", tmp_path / "ws", "--no-video", "--json")
    answer = json.loads(_run(video[0], *options, "--tracker", "centertrack").stdout.splitlines()[-1])
    assert answer["identities"] >= 3
    assert "embedder" not in answer
    refused = _run(video[0], *options, "--tracker", "centertrack", "--overwrite", "--explain", "1")
    assert "tracker centertrack explains nothing" in str(refused.exception)
    refused = _run(video[0], *options, "--tracker", "centertrack", "--show-lost")
    assert "does not say which tracks are lost" in str(refused.exception)


def test_an_output_folder_with_earlier_files_is_left_alone(video: tuple[Path, Path], tmp_path: Path) -> None:
    options = (*_BOX, "--detections", video[1], "--output", tmp_path / "out", "--workspace", tmp_path / "ws")
    assert _run(video[0], *options).exit_code == 0
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "out").iterdir()}
    again = _run(video[0], *options)
    assert isinstance(again.exception, InputError)
    assert "setting `overwrite`" in str(again.exception)
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "out").iterdir()} == before
    assert _run(video[0], *options, "--overwrite").exit_code == 0


def test_a_video_that_breaks_leaves_whole_files_up_to_there(video: tuple[Path, Path], tmp_path: Path) -> None:
    broken = tmp_path / "broken.mkv"
    with av.open(str(video[0])) as source, av.open(str(broken), "w") as target:
        stream = target.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(video=0):
            if packet.dts is not None:
                packet.stream = stream
                target.mux(packet)
    content = broken.read_bytes()
    broken.write_bytes(content[: int(len(content) * 0.6)])
    options = (*_BOX, "--detections", video[1], "--workspace", tmp_path / "ws", "--json")
    outcome = _run(broken, *options)
    rows = read_results(tmp_path / "ws" / "tracks" / "broken.txt")
    last = int(rows.frames[-1])
    assert 3 <= last < 12
    if outcome.exception is None:
        # FFmpeg takes the end of a cut Matroska file for its end: the detections that are left over tell.
        answer = json.loads(outcome.stdout.splitlines()[-1])
        assert answer["frames"] == last
        assert any(f"beyond the last frame ({last})" in note for note in answer["notes"])
    else:
        assert "frames before it are in" in str(outcome.exception)


def test_frames_of_another_size_end_it_with_whole_files(
    make_sequence: Callable[..., Path], video: tuple[Path, Path], tmp_path: Path
) -> None:
    frames = tmp_path / "WALK-01" / "img1"
    cv2.imwrite(str(frames / "000008.jpg"), np.zeros((100, 160, 3), np.uint8))
    options = (*_BOX, "--detections", video[1], "--output", tmp_path / "out", "--workspace", tmp_path / "ws")
    outcome = _run(frames, *options)
    assert isinstance(outcome.exception, InputError)
    assert "000008.jpg: is 160x100 pixels, expected 320x200" in str(outcome.exception)
    assert "the 7 frames before it are in" in str(outcome.exception)
    assert read_results(tmp_path / "out" / "img1.txt").frames[-1] == 7
    assert pq.read_table(tmp_path / "out" / "img1.parquet")["frame"].to_pylist()[-1] == 7
    with av.open(str(tmp_path / "out" / "img1.mp4")) as container:
        assert sum(1 for _ in container.decode(video=0)) == 7


def test_no_detections_at_all(video: tuple[Path, Path], tmp_path: Path) -> None:
    options = (*_BOX, "--workspace", tmp_path / "ws")
    empty = tmp_path / "empty.txt"
    empty.write_text("")
    outcome = _run(video[0], *options, "--detections", video[1], "--min-score", "0.99")
    assert "no detection scores 0.99 or more; the best scores 0.9" in str(outcome.exception)
    assert not (tmp_path / "ws" / "tracks").exists()
    answer = json.loads(_run(video[0], *options, "--detections", empty, "--json").stdout.splitlines()[-1])
    assert (answer["frames"], answer["identities"]) == (12, 0)
    assert "the file of detections holds none: no track starts" in answer["notes"]


def test_networks_that_are_not_there_say_where_they_are_to_be_had(
    video: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SSAT_CENTERTRACK", raising=False)
    options = (*_BOX, "--workspace", tmp_path / "ws")
    outcome = _run(video[0], *options, "--refine", "frozen")
    assert isinstance(outcome.exception, InputError)
    assert "models/mot17_half.pth: no checkpoint" in str(outcome.exception)
    assert "github.com/xingyizhou/CenterTrack" in str(outcome.exception)
    coco = tmp_path / "coco_tracking.pth"
    torch.save({"state_dict": {"hm.2.weight": torch.zeros(80, 256, 1, 1), "hm.2.bias": torch.zeros(80)}}, coco)
    outcome = _run(video[0], *options, "--refine", "closed-loop", "--refinement-checkpoint", coco)
    assert "hm.2.weight is 80x256x1x1, expected 1x256x1x1" in str(outcome.exception)
    assert "COCO's 80 classes" in str(outcome.exception)
    outcome = _run(video[0], *options, "--refine", "frozen", "--detector", "fcos")
    assert "both detect: choose one" in str(outcome.exception)
    outcome = _run("7", *options)
    assert "a stream or camera needs a detector" in str(outcome.exception)


def _long_video(path: Path, n_frames: int) -> None:
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25, options={"preset": "ultrafast"})
        stream.width, stream.height, stream.pix_fmt = 640, 360, "yuv420p"
        rng = np.random.default_rng(0)
        noise = rng.integers(0, 255, (360, 640, 3), dtype=np.uint8)
        for index in range(n_frames):
            frame = av.VideoFrame.from_ndarray(np.roll(noise, index, axis=1), format="rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


_START = "import sys; from flows.cli import main; sys.argv[0] = 'ssat'; main()"


@pytest.mark.integration
def test_interrupted_it_leaves_whole_files_up_to_that_frame(tmp_path: Path) -> None:
    _long_video(tmp_path / "long.mp4", 400)
    detections = tmp_path / "det.txt"
    detections.write_text("".join(f"{n},-1,{n},20,40,90,0.9\n" for n in range(1, 401)))
    arguments = ["track", "long.mp4", *_BOX, "--detections", "det.txt", "--output", "out", "--live"]
    # Tests that run in the background of a shell inherit from it that interrupts are ignored.
    heed = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); "
    process = subprocess.Popen(
        [sys.executable, "-c", heed + _START, *arguments],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert process.stdout is not None
    for _ in range(30):
        assert process.stdout.readline()
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=120)
    assert process.returncode == 130, errors
    rows = read_results(tmp_path / "out" / "long.txt")
    last = int(rows.frames[-1])
    assert 30 <= last < 400
    assert pq.read_table(tmp_path / "out" / "long.parquet")["frame"].to_pylist() == list(range(1, last + 1))
    with av.open(str(tmp_path / "out" / "long.mp4")) as container:
        assert sum(1 for _ in container.decode(video=0)) == last


@pytest.mark.integration
def test_no_space_for_the_video_is_said_and_the_results_are_kept(tmp_path: Path) -> None:
    _long_video(tmp_path / "long.mp4", 150)
    detections = tmp_path / "det.txt"
    detections.write_text("".join(f"{n},-1,{n},20,40,90,0.9\n" for n in range(1, 151)))
    # A file may grow to 200 kB, as on a disk that is full then; the signal that goes with it is ignored.
    limit = "import resource, signal; signal.signal(signal.SIGXFSZ, signal.SIG_IGN); "
    limit += "resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000)); "
    arguments = ["track", "long.mp4", *_BOX, "--detections", "det.txt", "--output", "out"]
    began = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-c", limit + _START, *arguments],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert done.returncode == 2, (done.stdout, done.stderr, time.monotonic() - began)
    assert "long.mp4: the video could not be written" in done.stderr
    assert "--no-video" in done.stderr
    rows = read_results(tmp_path / "out" / "long.txt")
    assert len(rows) >= 1
    assert pq.read_table(tmp_path / "out" / "long.parquet").num_rows == len(rows)
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["long.parquet", "long.txt"]


def test_a_folder_named_by_a_number_is_a_folder(
    video: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "WALK-01" / "img1").rename(tmp_path / "0000")
    monkeypatch.chdir(tmp_path)
    options = (*_BOX, "--detections", video[1], "--workspace", tmp_path / "ws", "--json")
    outcome = _run("0000", *options, "--frame-rate", "0.0004")
    assert outcome.exception is None, outcome.output
    answer = json.loads(outcome.stdout.splitlines()[-1])
    assert (answer["name"], answer["frames"]) == ("0000", 12)
    with av.open(answer["video"]) as container:
        assert container.streams.video[0].average_rate == Fraction(1, 2500)
        assert sum(1 for _ in container.decode(video=0)) == 12


def test_sound_that_is_left_out_is_mentioned(video: tuple[Path, Path], tmp_path: Path) -> None:
    spoken = tmp_path / "spoken.mkv"
    with av.open(str(video[0])) as source, av.open(str(spoken), "w") as target:
        pictures = target.add_stream_from_template(source.streams.video[0])
        sound = target.add_stream("pcm_s16le", rate=8000, layout="mono")
        for packet in source.demux(video=0):
            if packet.dts is not None:
                packet.stream = pictures
                target.mux(packet)
        silence = av.AudioFrame.from_ndarray(np.zeros((1, 8000), np.int16), "s16", "mono")
        silence.sample_rate = 8000
        target.mux(sound.encode(silence))
        target.mux(sound.encode(None))
    options = (*_BOX, "--detections", video[1], "--workspace", tmp_path / "ws", "--json")
    said = "the annotated video has pictures only: the input's sound is left out"
    answer = json.loads(_run(spoken, *options).stdout.splitlines()[-1])
    assert said in answer["notes"]
    answer = json.loads(_run(video[0], *options).stdout.splitlines()[-1])
    assert said not in answer["notes"]


def test_a_reader_that_leaves_ends_it_quietly(video: tuple[Path, Path], tmp_path: Path) -> None:
    code = "import sys; from flows.cli import main; sys.argv[0] = 'ssat'; main()"
    options = (*_BOX, "--no-video", "--detections", video[1], "--workspace", tmp_path / "ws", "--live")
    given = [sys.executable, "-c", code, "track", *map(str, (video[0], *options))]
    with subprocess.Popen(given, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert json.loads(process.stdout.readline())["frame"] == 1
        process.stdout.close()
        errors = process.stderr.read()
        assert process.wait() == 141
    assert "Traceback" not in errors
    assert "error" not in errors.lower()
