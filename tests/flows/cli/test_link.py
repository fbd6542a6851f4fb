"""`ssat link` on a rendered scene whose figures leave the picture and come back."""

import json
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from click.testing import CliRunner, Result

from flows.cli.link import command
from ssat.demo.visits import render_visits
from ssat.errors import InputError
from ssat.mot.rows import read_results

_FIGURES, _VISITS = 8, 2


def _run(*arguments: object) -> Result:
    return CliRunner().invoke(command, [str(argument) for argument in arguments])


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with street.mp4 and street.txt: every visit of figure f is the track 10 f + visit + 1."""
    folder = tmp_path_factory.mktemp("scene")
    rng = np.random.default_rng(0)
    lines = []
    with av.open(str(folder / "street.mp4"), "w") as container:
        stream = container.add_stream("libx264", rate=Fraction(10))
        stream.width, stream.height, stream.pix_fmt = 640, 360, "yuv420p"
        stream.options = {"preset": "ultrafast", "crf": "20"}
        for frame in render_visits(1, _FIGURES, _VISITS, (5, 20)):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame.image, format="rgb24")))
            inside = np.clip(frame.boxes, 0, (640, 360, 640, 360))
            share = np.prod(inside[:, 2:] - inside[:, :2], axis=1) / np.prod(
                frame.boxes[:, 2:] - frame.boxes[:, :2], axis=1
            )
            for at in np.flatnonzero(share > 0.5):
                x1, y1, x2, y2 = inside[at] + rng.normal(0, 1, 4)
                identity = 10 * frame.figures[at] + frame.visits[at] + 1
                lines.append(f"{frame.number},{identity},{x1:.2f},{y1:.2f},{x2 - x1:.2f},{y2 - y1:.2f},0.9,-1,-1,-1\n")
        container.mux(stream.encode())
    (folder / "street.txt").write_text("".join(lines))
    return folder


def test_figures_that_come_back_get_their_identity(scene: Path, tmp_path: Path) -> None:
    outcome = _run(scene / "street.txt", scene / "street.mp4", "--workspace", tmp_path / "ws", "--json")
    assert outcome.exit_code == 0, outcome.output
    answer = json.loads(outcome.stdout.splitlines()[-1])
    pairs = [(join["earlier"], join["later"]) for join in answer["joins"]]
    assert all(earlier // 10 == later // 10 for earlier, later in pairs), pairs
    assert len(pairs) >= 0.8 * _FIGURES
    assert (answer["identities_before"], answer["identities"]) == (16, 16 - len(pairs))
    assert answer["embedder"] == "colour"
    assert answer["looked_at"] == 16 * 32
    assert 0 < answer["limit"] < answer["different_median"]
    before, after = read_results(scene / "street.txt"), read_results(Path(answer["results"]))
    assert Path(answer["results"]) == scene / "linked" / "street.txt"
    new_of = {later: earlier for earlier, later in pairs}
    assert after.ids.tolist() == [new_of.get(identity, identity) for identity in before.ids.tolist()]
    np.testing.assert_array_equal(after.boxes.round(2), before.boxes.round(2))
    assert json.loads((scene / "linked" / "street.link.json").read_text())["joins"] == answer["joins"]
    picture = cv2.imread(str(scene / "linked" / "street.link.png"))
    assert picture is not None
    again = _run(scene / "street.txt", scene / "street.mp4", "--workspace", tmp_path / "ws")
    assert isinstance(again.exception, InputError)
    assert "exists already; add --overwrite" in str(again.exception)


def test_without_a_join_the_result_is_the_same(scene: Path, tmp_path: Path) -> None:
    options = ("--max-distance", "0.0001", "--output", tmp_path / "out", "--workspace", tmp_path / "ws", "--json")
    outcome = _run(scene / "street.txt", scene / "street.mp4", *options)
    answer = json.loads(outcome.stdout.splitlines()[-1])
    assert (answer["joins"], answer["picture"], answer["identities"]) == ([], None, 16)
    assert read_results(tmp_path / "out" / "street.txt").ids.tolist() == read_results(scene / "street.txt").ids.tolist()


def test_what_cannot_be_joined_is_refused(scene: Path, tmp_path: Path) -> None:
    place = ("--workspace", tmp_path / "ws", "--output", tmp_path / "out")
    (tmp_path / "empty.txt").write_text("")
    (tmp_path / "long.txt").write_text("9999,1,10,10,20,50,0.9,-1,-1,-1\n")
    (tmp_path / "one.txt").write_text("".join(f"{frame},1,10,10,20,50,0.9,-1,-1,-1\n" for frame in range(1, 9)))
    for result, message in (
        (tmp_path / "missing.txt", "no such result file"),
        (tmp_path / "empty.txt", "the result holds no box"),
        (tmp_path / "long.txt", "the result ends at frame 9999"),
        (tmp_path / "one.txt", "0 pairs of tracks share a frame"),
        (scene / "street.mp4", "not a text file"),
    ):
        outcome = _run(result, scene / "street.mp4", *place)
        assert isinstance(outcome.exception, InputError), (result, outcome.output)
        assert message in str(outcome.exception)
    assert not (tmp_path / "out").exists()
    outcome = _run(scene / "street.txt", "rtsp://camera/stream", *place)
    assert "cannot be read a second time" in str(outcome.exception)
    outcome = _run(scene / "street.txt", scene / "street.mp4", "--output", scene, "--overwrite")
    assert f"{scene}/street.txt: is an input of this command" in str(outcome.exception)
