from pathlib import Path

import numpy as np
import pytest

from ssat.errors import InputError
from ssat.mot.rows import read_detections, read_ground_truth, read_results, write_results


def _file(folder: Path, text: str) -> Path:
    path = folder / "det.txt"
    path.write_bytes(text.encode())
    return path


@pytest.mark.parametrize(
    "text",
    [
        "2,-1,10,20,30,40,0.5\n1,-1,1,2,3,4,1\n2,-1,11,21,31,41,0.6\n",
        "2,-1,10,20,30,40,0.5,-1,-1,-1\n1,-1,1,2,3,4,1,-1,-1,-1\n2,-1,11,21,31,41,0.6,-1,-1,-1",
        "\ufeff2; -1; 10; 20; 30; 40; 0.5\r\n\r\n1;-1;1;2;3;4;1\r\n2;-1;1.1e1;2.1e1;31;41;6e-1\r\n",
        "2 -1 10 20 30 40 0.5\n1 -1 1 2 3 4 1\n\n2.0 -1 11 21\t31 41 0.6\n",
    ],
    ids=["7 columns", "10 columns", "semicolons, Windows line ends, exponents", "white space"],
)
def test_detections_are_sorted_by_frame_and_keep_the_order_within(text: str, tmp_path: Path) -> None:
    rows = read_detections(_file(tmp_path, text), n_frames=2)
    assert rows.frames.tolist() == [1, 2, 2]
    np.testing.assert_allclose(rows.boxes, [[1, 2, 4, 6], [10, 20, 40, 60], [11, 21, 42, 62]])
    np.testing.assert_allclose(rows.scores, [1, 0.5, 0.6])
    assert rows.at(2) == slice(1, 3)
    assert rows.at(3) == slice(3, 3)
    assert rows.within(range(2, 9)).scores.tolist() == [0.5, 0.6]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("2,-1,10,nan,30,40,0.5", "line 2: top is nan"),
        ("2,-1,10,20,inf,40,0.5", "line 2: width is inf"),
        ("2,-1,10,20,-30,40,0.5", "line 2: width is -30, expected more than 0"),
        ("2,-1,10,20,30,0,0.5", "line 2: height is 0, expected more than 0"),
        ("2,-1,10,20,30,40", "line 2: 6 columns, expected 7"),
        ("2,-1,10,20,30,40,1,1", "line 2: 8 columns, expected 7"),
        ("9,-1,10,20,30,40,1", "line 2: frame is 9, expected 1 … 8"),
        ("0,-1,10,20,30,40,1", "line 2: frame is 0, expected 1 … 8"),
        ("1.5,-1,10,20,30,40,1", "line 2: frame is 1.5, expected a whole number"),
        ("2,x,10,20,30,40,1", "line 2: not a number in '2,x,10"),
    ],
)
def test_a_faulty_line_is_named(line: str, message: str, tmp_path: Path) -> None:
    path = _file(tmp_path, f"1,-1,1,2,3,4,1\n{line}\n")
    with pytest.raises(InputError, match=message.replace("(", r"\(")) as caught:
        read_detections(path, n_frames=8)
    assert str(path) in str(caught.value)


def test_files_that_are_missing_or_not_text(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such detection file"):
        read_detections(tmp_path / "nothing.txt")
    (tmp_path / "video.txt").write_bytes(b"\x00\xff\xfe\x80")
    with pytest.raises(InputError, match="not a text file"):
        read_results(tmp_path / "video.txt")


def test_ground_truth_has_classes_with_nine_columns_and_none_with_ten(tmp_path: Path) -> None:
    with_classes = read_ground_truth(_file(tmp_path, "1,7,1,2,3,4,0,12,0.25\n1,8,1,2,3,4,1,1,1\n"))
    assert with_classes.has_classes
    assert with_classes.classes.tolist() == [12, 1]
    assert with_classes.scores.tolist() == [0, 1]
    without = read_ground_truth(_file(tmp_path, "1,7,1,2,3,4,1,4.48,5.5,0\n"))
    assert not without.has_classes
    assert without.classes.tolist() == [1]


def test_an_identity_twice_in_a_frame_is_refused(tmp_path: Path) -> None:
    path = _file(tmp_path, "1,3,1,2,3,4,1,1,1\n2,3,1,2,3,4,1,1,1\n1,3,9,2,3,4,1,1,1\n")
    for read in (read_ground_truth, read_results):
        with pytest.raises(InputError, match="line 3: identity 3 is in frame 1 already, at line 1"):
            read(path)


def test_results_survive_writing_and_reading(tmp_path: Path) -> None:
    boxes = np.array([[1.25, 2.5, 30.125, 40.0], [-5.0, 0.0, 1e4, 20.0]])
    path = write_results(tmp_path / "SEQ.txt", [3, 4], [1, 2], boxes, np.array([0.5, 0.25]))
    assert path.read_text().splitlines()[0] == "3,1,1.250,2.500,28.875,37.500,0.5000,-1,-1,-1"
    rows = read_results(path)
    np.testing.assert_allclose(rows.boxes, boxes)
    assert rows.ids.tolist() == [1, 2]
    assert rows.scores.tolist() == [0.5, 0.25]


def test_an_empty_result_file_is_a_tracker_that_found_nothing(tmp_path: Path) -> None:
    empty = write_results(tmp_path / "SEQ.txt", [], [], np.empty((0, 4)), np.empty(0))
    assert len(read_results(empty)) == 0


@pytest.mark.real_data
def test_real_files_have_the_published_number_of_boxes(real_data: Path) -> None:
    train = real_data / "mot" / "MOT17" / "train"
    published = {"02": 9880, "04": 24178, "05": 3357, "09": 2879, "10": 5923, "13": 3156}
    for number, boxes in published.items():
        rows = read_ground_truth(train / f"MOT17-{number}-FRCNN" / "gt" / "gt.txt")
        n_frames = {"02": 600, "04": 1050, "05": 837, "09": 525, "10": 654, "13": 750}[number]
        from ssat.mot.splits import split_frames

        half = rows.within(split_frames(n_frames, "val-half"))
        assert int(((half.scores >= 1) & (half.classes == 1)).sum()) == boxes


def test_a_file_is_read_alike_with_and_without_empty_lines(tmp_path: Path) -> None:
    plain, spaced = tmp_path / "plain.txt", tmp_path / "spaced.txt"
    rows = [f"{frame},{identity},{frame * 0.1},1e2,{identity}.5,30,0.25" for frame in (1, 2) for identity in (7, 8)]
    plain.write_text("\r\n".join(rows))
    spaced.write_text("\n\n".join(rows) + "\n")
    first, second = read_results(plain), read_results(spaced)
    assert first.frames.tolist() == second.frames.tolist() == [1, 1, 2, 2]
    assert first.ids.tolist() == second.ids.tolist() == [7, 8, 7, 8]
    assert first.boxes.tolist() == second.boxes.tolist()
    assert first.boxes[3].tolist() == [0.2, 100.0, 8.7, 130.0]
    for path, line in ((plain, 3), (spaced, 5)):
        path.write_text(path.read_text().replace("2,7,", "2,7.5,"))
        with pytest.raises(InputError, match=f"line {line}: id is 7.5, expected a whole number"):
            read_results(path)
