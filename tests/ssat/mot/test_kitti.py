"""KITTI tracking: folders, files, and scores beside TrackEval's."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from ssat.errors import InputError
from ssat.mot.find import find_sequences
from ssat.mot.kitti import is_kitti, read_kitti_results
from ssat.mot.protocols import IGNORE_REGION, labels_that_count
from ssat.mot.rows import MotRows
from ssat.mot.scores import ToScore, score

_END = "-1 -1 -1 -1 -1 -1 -1"
_LABELS = f"""0 -1 DontCare -1 -1 -10 500.0 100.0 600.0 200.0 {_END}
0 1 Pedestrian 0 0 -0.2 10.0 20.0 30.0 80.0 {_END}
0 2 Car 0 0 -0.2 100.0 20.0 180.0 80.0 {_END}
1 1 Pedestrian 1 0 -0.2 11.0 20.0 31.0 80.0 {_END}
1 3 Person 0 0 -0.2 60.0 20.0 80.0 60.0 {_END}
2 4 Pedestrian 0 3 -0.2 60.0 20.0 80.0 60.0 {_END}
"""


def _write(folder: Path, name: str, labels: str, *, images: int = 0) -> None:
    (folder / "label_02").mkdir(parents=True, exist_ok=True)
    (folder / "label_02" / f"{name}.txt").write_text(labels)
    for number in range(images):
        (folder / "image_02" / name).mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(folder / "image_02" / name / f"{number:06d}.png"), np.zeros((40, 120, 3), np.uint8))


def test_a_folder_of_kitti_is_read_as_pedestrians(tmp_path: Path) -> None:
    training = tmp_path / "training"
    _write(training, "0001", _LABELS, images=4)
    _write(training, "0000", _LABELS)
    (training / "det_02").mkdir()
    (training / "det_02" / "0001.txt").write_text(
        f"1 -1 Car -1 -1 -10 1 2 3 4 {_END} 0.9\n0 -1 Pedestrian -1 -1 -10 1.5 2 3 4 {_END} 0.75\n"
        f"0 -1 Pedestrian -1 -1 -10 5 2 7 4 {_END} 0.5\n"
    )
    without, one = find_sequences(tmp_path)
    assert (without.name, without.n_frames, without.image_folder) == ("0000", 3, None)
    assert (one.name, one.n_frames, one.width, one.height, one.rules) == ("0001", 4, 120, 40, "kitti")
    assert one.image_path(1).name == "000000.png"
    one.check_images(range(1, 5))
    found = one.detections()
    assert (found.frames.tolist(), found.scores.tolist(), found.boxes[0].tolist()) == (
        [1, 1],
        [0.75, 0.5],
        [1.5, 2, 3, 4],
    )
    truth = one.ground_truth()
    assert truth.frames.tolist() == [1, 1, 2, 2, 3]
    assert truth.classes.tolist() == [IGNORE_REGION, 1, 8, 7, 8]
    assert truth.scores.tolist() == [0, 1, 0, 0, 0]
    assert [sequence.name for sequence in find_sequences(training, ["*1"])] == ["0001"]
    (training / "det_02" / "0000.txt").write_text("2,-1,10,20,30,40,0.5\n")
    assert without.detections().frames.tolist() == [2]
    with pytest.raises(InputError, match=r"det_lsvm/0000.txt: no such detection file; folders with a 0000.txt: det_02"):
        without.detections("det_lsvm")


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (f"0 1 Pedestrian 0 0 0 1 2 3 {_END}", "line 2: 16 columns, expected 17"),
        (f"0 1 Pedestrian 0 0 0 1 2 nan 4 {_END}", "line 2: right is nan, expected a finite number"),
        (f"0 x Pedestrian 0 0 0 1 2 3 4 {_END}", "line 2: track_id is 'x', expected a number"),
        (f"3 5 Pedestrian 0 0 0 1 2 3 4 {_END}", "line 2: frame is 3, expected a whole number in 0 … 2"),
        (f"-1 5 Pedestrian 0 0 0 1 2 3 4 {_END}", "line 2: frame is -1"),
        (f"0 1 Pedestrian 0 0 0 1 2 3 4 {_END}", "line 2: track 1 is in frame 0 already, at line 1"),
    ],
)
def test_a_faulty_line_is_named(line: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "0000.txt"
    path.write_text(f"0 1 Pedestrian 0 0 0 1 2 3 4 {_END}\n{line}\n")
    with pytest.raises(InputError, match=message):
        read_kitti_results(path, 3)


def test_the_two_forms_are_told_apart(tmp_path: Path) -> None:
    path = tmp_path / "one.txt"
    for text, kitti in ((_LABELS, True), ("1,1,2,3,4,5,1\n", False), ("1 1 2 3 4 5 1\n", False), ("", False)):
        path.write_text(text)
        assert is_kitti(path) is kitti


def _random_labels(rng: np.random.Generator, n_frames: int, people: int) -> str:
    kinds = rng.choice(["Pedestrian"] * 4 + ["Person", "Car", "Cyclist"], people)
    lines = []
    for frame in range(n_frames):
        for who in np.flatnonzero(rng.random(people) < 0.8):
            left, top = 8 * who + rng.integers(-3, 4), rng.integers(0, 4)
            height = rng.choice([20, 25, 30])
            hard = f"{rng.choice([0, 0, 0, 1])} {rng.choice([0, 0, 1, 2, 3])}"
            lines.append(f"{frame} {who} {kinds[who]} {hard} 0 {left} {top} {left + 12} {top + height} {_END}")
        left = rng.integers(0, 60)
        lines.append(f"{frame} -1 DontCare -1 -1 -10 {left} 0 {left + 20} 40 {_END}")
    return "\n".join(rng.permutation(lines).tolist()) + "\n"


def test_every_field_of_random_results_is_trackevals(tmp_path: Path, trackeval_scores: Any) -> None:
    compared = 0
    for seed in range(12):
        rng, folder = np.random.default_rng(seed), tmp_path / str(seed)
        for name in ("0000", "0001"):
            _write(folder, name, _random_labels(rng, 12, 6))
        sequences = {}
        for one in find_sequences(folder):
            frames, who = np.nonzero(rng.random((one.n_frames, 7)) < 0.8)
            n = len(frames)
            corners = np.stack([8 * who + rng.integers(-3, 4, n), rng.integers(0, 4, n)], axis=1).astype(float)
            sizes = np.stack([np.full(n, 12), rng.choice([20, 25, 30], n)], axis=1)
            boxes = np.hstack([corners, corners + sizes])
            results = MotRows(frames + 1, who + 1, boxes, np.ones(n), np.ones(n, int))
            sequences[one.name] = ToScore(one.ground_truth(), results, range(1, one.n_frames + 1), one.rules)
        if not all(labels_that_count(one.truth, "motchallenge").any() for one in sequences.values()):
            continue  # refused
        compared += 1
        scores, overall = score(sequences, "motchallenge")
        reference = trackeval_scores(folder, sequences)
        for name, expected in reference.items():
            found = (overall if name == "overall" else scores[name]).to_dict()
            assert found == pytest.approx(expected, rel=1e-12, abs=1e-12), f"seed {seed}, {name}"
        # The files that the reference read are read by us to the same rows.
        again = read_kitti_results(folder / "results" / "tracker" / "data" / "0001.txt", 12)
        np.testing.assert_array_equal(again.boxes, sequences["0001"].results.boxes)
    assert compared >= 6


def test_results_without_a_pedestrian_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "0001.txt"
    path.write_text("0 1 Car 0 0 0 10 10 50 90 -1 -1 -1 -1 -1 -1 -1 0.9\n")
    with pytest.raises(InputError, match=r"none of 1 rows is a Pedestrian .*\(types: Car\)"):
        read_kitti_results(path, 3)
    path.write_text("0 1 Pedestrian 0 0 0 10 10 10 90 -1 -1 -1 -1 -1 -1 -1 0.9\n")
    assert read_kitti_results(path, 3).boxes.tolist() == [[10, 10, 10, 10]]
    labels = tmp_path / "label_02" / "0001.txt"
    labels.parent.mkdir()
    labels.write_text(path.read_text())
    with pytest.raises(InputError, match=r"line 1: the box 10 10 10 90 is empty"):
        find_sequences(tmp_path)[0].ground_truth()
