import json
from collections.abc import Callable
from pathlib import Path

import av
import pytest
from click.testing import CliRunner, Result

from flows.cli.track import command
from ssat.embedding.colour import ColourEmbedder
from ssat.errors import InputError, WorkspaceError
from ssat.mot.rows import read_results


def _run(*arguments: object) -> Result:
    return CliRunner().invoke(command, [str(argument) for argument in arguments])


def _answer(outcome: Result) -> dict[str, object]:
    assert outcome.exit_code == 0, (outcome.output, outcome.exception)
    answer: dict[str, object] = json.loads(outcome.stdout.splitlines()[-1])
    return answer


def test_a_sequence_by_appearance(make_sequence: Callable[..., Path], tmp_path: Path) -> None:
    from ssat.embedding.embedder import Embedder

    embedder = tmp_path / "embedder.safetensors"
    Embedder.untrained("resnet18", input_size=32).save(embedder)
    folder = make_sequence(tmp_path)
    outcome = _run(folder, "--workspace", tmp_path / "ws", "--embedder", embedder, "--min-score", 0.5, "--json")
    answer = _answer(outcome)
    assert (answer["frames"], answer["identities"], answer["notes"]) == (12, 3, [])
    assert set(answer["fps_by_stage"]) == {"read", "patches", "embed", "associate", "draw"}
    assert answer["fps_includes"] == [
        "reading frames",
        "detections given",
        "embedding",
        "association",
        "annotated video",
    ]
    rows = read_results(tmp_path / "ws" / "tracks" / "WALK-01.txt", n_frames=12)
    assert len(rows) == 36, "35 detections and a filled gap"
    half = tmp_path / "half"
    options = ("--embedder", embedder, "--min-score", 0.5, "--precision", "bfloat16", "--output", half, "--no-video")
    _answer(_run(folder, "--workspace", tmp_path / "ws", *options, "--json"))
    assert read_results(half / "WALK-01.txt", n_frames=12).ids.tolist() == rows.ids.tolist()
    fewer = tmp_path / "fewer"
    options = ("--embedder", embedder, "--min-score", 0.5, "--embed-every", 4, "--output", fewer, "--no-video")
    answer = _answer(_run(folder, "--workspace", tmp_path / "ws", *options, "--json"))
    assert "patches embedded every 4 frames where no other person is near" in answer["beyond_the_paper"]
    assert any("of 35 features were taken over" in note for note in answer["notes"]), answer["notes"]
    assert read_results(fewer / "WALK-01.txt", n_frames=12).ids.tolist() == rows.ids.tolist()
    with av.open(str(tmp_path / "ws" / "tracks" / "WALK-01.mp4")) as container:
        assert container.streams.video[0].average_rate == 10
        assert sum(1 for _ in container.decode(video=0)) == 12


def test_a_video_file_with_detections_beside_it(make_sequence: Callable[..., Path], tmp_path: Path) -> None:
    folder = make_sequence(tmp_path)
    made = _answer(_run(folder, "--tracker", "box", "--workspace", tmp_path / "ws", "--json"))
    detections = tmp_path / "detections.txt"
    detections.write_text((folder / "det" / "det.txt").read_text() + "40,-1,5,5,20,20,1\n")
    output = tmp_path / "out"
    options = ("--tracker", "box", "--detections", detections, "--output", output, "--workspace", tmp_path / "ws")
    answer = _answer(_run(made["video"], *options, "--no-video", "--json"))
    assert answer["frames"] == 12
    assert answer["notes"] == ["1 detections stand beyond the last frame (12) and were not used"]
    assert sorted(path.name for path in output.iterdir()) == [
        "WALK-01.parquet",
        "WALK-01.txt",
    ]
    assert read_results(output / "WALK-01.txt").ids.tolist() == read_results(Path(str(made["results"]))).ids.tolist()


def test_labels_only_are_for_the_box_tracker(make_sequence: Callable[..., Path], tmp_path: Path) -> None:
    folder = make_sequence(tmp_path, images=False)
    answer = _answer(_run(folder, "--tracker", "box", "--workspace", tmp_path / "ws", "--json"))
    assert answer["notes"] == ["labels only, no frames: no video is written"]
    assert "video" not in answer
    outcome = _run(folder, "--workspace", tmp_path / "ws")
    assert isinstance(outcome.exception, InputError)
    assert "--tracker box" in str(outcome.exception)


def test_without_detections_it_says_how_to_get_some(tmp_path: Path) -> None:
    video = tmp_path / "street.mp4"
    with av.open(str(video), "w") as container:
        stream = container.add_stream("libx264", rate=10)
        stream.width = stream.height = 64
        stream.pix_fmt = "yuv420p"
        for _ in range(5):
            container.mux(stream.encode(av.VideoFrame(64, 64, "yuv420p")))
        container.mux(stream.encode(None))
    outcome = _run(video, "--tracker", "box", "--workspace", tmp_path / "ws")
    assert isinstance(outcome.exception, InputError)
    assert "Let fasterrcnn, retinanet or fcos find people (setting `detector`)" in str(outcome.exception)


def test_an_embedder_that_is_not_there(make_sequence: Callable[..., Path], tmp_path: Path) -> None:
    folder, place = make_sequence(tmp_path), ("--workspace", tmp_path / "ws")
    for named, message in (("missing.safetensors", "neither a file"), ("0" * 32, "not available")):
        outcome = _run(folder, *place, "--embedder", named)
        assert isinstance(outcome.exception, InputError), outcome.exception
        assert message in str(outcome.exception)
    assert not (tmp_path / "ws" / "tracks").exists()


def test_without_a_training_it_tracks_by_colour_and_says_so(make_sequence: Callable[..., Path], tmp_path: Path) -> None:
    folder, place = make_sequence(tmp_path), ("--workspace", tmp_path / "ws", "--no-video", "--json")
    answer = _answer(_run(folder, *place))
    assert answer["embedder"] == "colour"
    assert any(note.startswith("appearance by colour, a histogram") for note in answer["notes"])
    named = _answer(_run(folder, *place, "--embedder", "colour", "--overwrite"))
    assert not any("histogram" in note for note in named["notes"])
    assert named["embedder_digest"] == answer["embedder_digest"] == ColourEmbedder().digest


def test_an_output_that_cannot_be_made(make_sequence: Callable[..., Path], tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    folder = make_sequence(tmp_path)
    outcome = _run(folder, "--tracker", "box", "--output", tmp_path / "file" / "x", "--workspace", tmp_path / "ws")
    assert isinstance(outcome.exception, WorkspaceError)
    assert "name another with setting `output`" in str(outcome.exception)


@pytest.mark.real_data
def test_a_real_sequence(real_data: Path, tmp_path: Path) -> None:
    folder = real_data / "mot" / "2DMOT2015" / "train" / "TUD-Campus"
    options = ("--tracker", "box", "--preset", "paper", "--workspace", tmp_path / "ws", "--json")
    answer = _answer(_run(folder, *options))
    assert (answer["frames"], answer["identities"]) == (71, 10)
    with av.open(str(answer["video"])) as container:
        assert sum(1 for _ in container.decode(video=0)) == 71


def test_remembering_is_an_option_of_its_own(make_sequence: Callable[..., Path], tmp_path: Path) -> None:
    folder = make_sequence(tmp_path)
    options = ("--embedder", "colour", "--no-video", "--workspace", tmp_path / "ws", "--json", "--remember", "60")
    answer = _answer(_run(folder, *options))
    assert "remember seconds 60" in answer["beyond_the_paper"]
    assert answer["regained"] == 0
    assert any("no identity could be restored" in note for note in answer["notes"])
    refused = _run(folder, *options, "--interpolate-seconds", "10", "--overwrite")
    assert isinstance(refused.exception, InputError)
    assert "expected at most association.lost_seconds, 3" in str(refused.exception)
