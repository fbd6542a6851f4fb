from configparser import ConfigParser
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
import pytest

from ssat.demo.sequences import FPS, HEIGHT, WIDTH, Frame, detect, render_sequence, write_sequence
from ssat.mot.sequence import MotSequence


@pytest.fixture(scope="module")
def frames() -> list[Frame]:
    return list(render_sequence(0, 0, 60, 8))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_sequence(tmp_path_factory.mktemp("mot"), "DEMO-01", seed=0, sequence=0, frames=12, figures=8)


def test_folder_is_what_motchallenge_prescribes(folder: Path) -> None:
    info = ConfigParser()
    info.read(folder / "seqinfo.ini")
    section = info["Sequence"]
    assert section["name"] == "DEMO-01"
    assert (int(section["seqLength"]), int(section["frameRate"])) == (12, FPS)
    images = sorted((folder / "img1").glob("*.jpg"))
    assert [image.name for image in images] == [f"{n:06d}.jpg" for n in range(1, 13)]
    assert cv2.imread(str(images[0])).shape == (HEIGHT, WIDTH, 3)
    truth = np.loadtxt(folder / "gt" / "gt.txt", delimiter=",")
    assert truth.shape == (12 * 8, 9)
    assert set(truth[:, 1]) == set(range(1, 9))
    assert (truth[:, 6:8] == 1).all()
    assert ((truth[:, 8] >= 0) & (truth[:, 8] <= 1)).all()
    detections = np.loadtxt(folder / "det" / "det.txt", delimiter=",")
    assert detections.shape[1] == 7
    assert (np.diff(detections[:, 0]) >= 0).all()
    assert (detections[:, 4:6] > 0).all()


def test_the_project_reads_its_own_folders(folder: Path) -> None:
    sequence = MotSequence.open(folder)
    sequence.check_images(range(1, 13))
    assert (sequence.name, sequence.frame_rate, sequence.n_frames) == ("DEMO-01", FPS, 12)
    truth = sequence.ground_truth()
    assert sorted(set(truth.ids.tolist())) == list(range(1, 9))
    assert (truth.classes == 1).all()
    assert len(sequence.detections()) > 30


def test_same_seed_same_folder(folder: Path, tmp_path: Path) -> None:
    again = write_sequence(tmp_path, "DEMO-01", seed=0, sequence=0, frames=12, figures=8)
    for file in sorted(path.relative_to(folder) for path in folder.rglob("*") if path.is_file()):
        assert (folder / file).read_bytes() == (again / file).read_bytes(), file


def test_visibility_is_the_share_that_is_seen(frames: list[Frame]) -> None:
    visibility = np.stack([frame.visibility for frame in frames])
    assert visibility.max() > 0.95
    assert visibility.min() < 0.05
    # The pixels were counted after drawing at some scale, so a figure in full view comes out near 1.
    assert (visibility > 0.93).mean() > 0.2


def test_figures_cross_and_hide_each_other(frames: list[Frame]) -> None:
    crossings = 0
    for before, after in pairwise(frames):
        x0, x1 = before.boxes[:, [0, 2]].mean(axis=1), after.boxes[:, [0, 2]].mean(axis=1)
        crossings += int((np.sign(x0[:, None] - x0) != np.sign(x1[:, None] - x1)).sum()) // 2
    assert crossings > 30
    hidden = np.stack([frame.visibility < 0.3 for frame in frames])
    longest = max(_longest_run(column) for column in hidden.T)
    assert 2 <= longest <= 4 * FPS


def test_the_detector_misses_jitters_and_imagines(frames: list[Frame]) -> None:
    rng = np.random.default_rng(0)
    found, expected, false, offsets = 0, 0, 0, []
    for frame in frames:
        rows = detect(rng, frame)
        centres = rows[:, :2] + rows[:, 2:4] / 2
        true = (frame.boxes[:, :2] + frame.boxes[:, 2:]) / 2
        size = frame.boxes[:, 2:] - frame.boxes[:, :2]
        distance = np.abs(centres[:, None] - true[None]) / size[None]
        near = distance.max(axis=2)
        false += int((near.min(axis=1) > 0.35).sum())
        clear = frame.visibility > 0.8
        expected += int(clear.sum())
        hits = near[:, clear].min(axis=0) < 0.25 if len(rows) else np.zeros(clear.sum(), bool)
        found += int(hits.sum())
        offsets.extend(near[:, clear].min(axis=0)[hits])
        assert (rows[:, 4] > 0).all()
        assert (rows[:, 4] <= 1).all()
    assert 0.8 < found / expected < 0.99
    assert false >= 5
    assert 0.005 < np.median(offsets) < 0.1


def _longest_run(values: np.ndarray) -> int:
    longest = current = 0
    for value in values:
        current = current + 1 if value else 0
        longest = max(longest, current)
    return longest
