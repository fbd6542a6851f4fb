import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ssat.errors import InputError
from ssat.mot.detection_files import read_any_detections

_BOX = [10.0, 20.0, 30.0, 40.0]


def test_the_three_forms_say_the_same(tmp_path: Path) -> None:
    rows = [(2, 10, 20, 30, 40, 0.5), (1, 1, 2, 3, 4, 0.25), (2, 5, 6, 7, 8, 1.0)]
    text, results, parquet = (tmp_path / f"det.{suffix}" for suffix in ("txt", "json", "parquet"))
    text.write_text("\n".join(f"{f},-1,{x},{y},{w},{h},{s}" for f, x, y, w, h, s in rows))
    results.write_text(
        json.dumps([{"image_id": f, "category_id": 1, "bbox": [x, y, w, h], "score": s} for f, x, y, w, h, s in rows])
    )
    names = ("frame", "left", "top", "width", "height", "score")
    pq.write_table(pa.table(dict(zip(names, zip(*rows, strict=True), strict=True))), parquet)
    first, *others = (read_any_detections(path, n_frames=2).rows for path in (text, results, parquet))
    assert first.frames.tolist() == [1, 2, 2]
    for other in others:
        for column in ("frames", "ids", "boxes", "scores", "classes"):
            np.testing.assert_array_equal(getattr(other, column), getattr(first, column))


def test_a_coco_data_set_has_people_by_name_and_frames_by_file_name(tmp_path: Path) -> None:
    path = tmp_path / "det.json"
    content = {
        "images": [{"id": 70, "file_name": "b/000002.jpg"}, {"id": 9, "file_name": "b/000001.jpg"}],
        "categories": [{"id": 3, "name": "car"}, {"id": 5, "name": "Person"}],
        "annotations": [
            {"image_id": 70, "category_id": 5, "bbox": _BOX},
            {"image_id": 9, "category_id": 3, "bbox": _BOX},
            {"image_id": 9, "category_id": 5, "bbox": [0, 0, 1, 1], "score": 0.5},
        ],
    }
    path.write_text(json.dumps(content))
    found = read_any_detections(path)
    assert found.notes == ("1 detections of other classes were left out: 1 car",)
    rows = found.rows
    assert rows.frames.tolist() == [1, 2]
    assert rows.scores.tolist() == [0.5, 1.0]
    assert rows.boxes[1].tolist() == [10, 20, 40, 60]
    content["annotations"][0]["image_id"] = 71
    path.write_text(json.dumps(content))
    with pytest.raises(InputError, match=r"det.json, entry 0: image_id is 71, which is no image of the file"):
        read_any_detections(path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "not readable JSON"),
        ("3", "expected a list of COCO results"),
        ("[3]", "entry 0: expected an object"),
        ('[{"image_id": 1, "bbox": [1, 2, 3]}]', "entry 0: bbox is"),
        ('[{"image_id": 1, "bbox": [1, 2, 3, "x"]}]', "must be numbers"),
        ('[{"image_id": null, "bbox": [1, 2, 3, 4]}]', "image_id is None"),
        ('[{"image_id": 0, "bbox": [1, 2, 3, 4]}]', "entry 0: frame is 0, expected 1 … 5"),
        ('[{"image_id": 6, "bbox": [1, 2, 3, 4]}]', "entry 0: frame is 6, expected 1 … 5"),
        ('[{"image_id": 1.5, "bbox": [1, 2, 3, 4]}]', "expected a whole number"),
        ('[{"image_id": 1, "bbox": [1, 2, 0, 4]}]', "entry 0: width is 0, expected more than 0"),
        ('[{"image_id": 1, "bbox": [1, 2, NaN, 4]}]', "expected finite numbers"),
    ],
)
def test_bad_json_is_named(content: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "det.json"
    path.write_text(content)
    with pytest.raises(InputError, match=message):
        read_any_detections(path, n_frames=5)


def test_bad_parquet_is_named(tmp_path: Path) -> None:
    path = tmp_path / "det.parquet"
    with pytest.raises(InputError, match="no such detection file"):
        read_any_detections(path)
    path.write_bytes(b"PAR1 not really")
    with pytest.raises(InputError, match="not a readable Parquet file"):
        read_any_detections(path)
    pq.write_table(pa.table({"frame": [1], "x1": [0.0], "y1": [0.0], "x2": [5.0]}), path)
    with pytest.raises(InputError, match=r"no column left, top, width, height; expected frame, score"):
        read_any_detections(path)
    pq.write_table(pa.table({"frame": ["a"], "x1": [0.0], "y1": [0.0], "x2": [5.0], "y2": [5.0]}), path)
    with pytest.raises(InputError, match="not a readable Parquet file"):
        read_any_detections(path)
    pq.write_table(
        pa.table({"frame": [1, 2], "x1": [0.0, 9.0], "y1": [0.0, 0], "x2": [5.0, 5.0], "y2": [5.0, 5]}), path
    )
    with pytest.raises(InputError, match="row 1: width is -4, expected more than 0"):
        read_any_detections(path)
    pq.write_table(pa.table({"frame": [1], "x1": [0.0], "y1": [0.0], "x2": [None], "y2": [5.0]}), path)
    with pytest.raises(InputError, match=r"not a readable|finite numbers"):
        read_any_detections(path)


def _coco(images: list[dict[str, object]]) -> str:
    """A box in every image, its left side ten times the id."""
    boxes = [{"image_id": one["id"], "category_id": 1, "bbox": [10 * int(str(one["id"])), 5, 4, 6]} for one in images]
    return json.dumps({"images": images, "categories": [{"id": 1, "name": "person"}], "annotations": boxes})


@pytest.mark.parametrize(
    ("images", "expected"),
    [
        ([{"id": n, "file_name": f"frame_{n}.jpg"} for n in (10, 2, 1, 9)], {10: 10, 2: 2, 1: 1, 9: 9}),
        ([{"id": n, "file_name": f"img1/{n - 1:06d}.jpg"} for n in (3, 1, 2)], {1: 1, 2: 2, 3: 3}),
        (
            [{"id": 5, "file_name": "z.jpg", "frame_id": 0}, {"id": 4, "file_name": "a.jpg", "frame_id": 1}],
            {5: 1, 4: 2},
        ),
        ([{"id": 5, "file_name": "c1_07.jpg", "frame_id": 9}, {"id": 4, "file_name": "c1_08.jpg"}], {5: 7, 4: 8}),
        ([{"id": 7, "file_name": "z.jpg"}, {"id": 3, "file_name": "a.jpg"}], {7: 1, 3: 2}),
        ([{"id": 7, "file_name": "cam2_0002.jpg"}, {"id": 3, "file_name": "cam2_0010.jpg"}], {7: 2, 3: 10}),
        ([{"id": 7, "file_name": "0502.jpg"}, {"id": 3, "file_name": "0501.jpg"}], {7: 2, 3: 1}),
    ],
    ids=["unpadded", "from 0", "frame_id from 0", "some frame_ids", "no number", "camera", "beyond the footage"],
)
def test_images_are_the_frames_that_they_say(
    images: list[dict[str, object]], expected: dict[int, int], tmp_path: Path
) -> None:
    path = tmp_path / "det.json"
    path.write_text(_coco(images))
    rows = read_any_detections(path, n_frames=20).rows
    found = {round(left / 10): frame for frame, left in zip(rows.frames.tolist(), rows.boxes[:, 0], strict=True)}
    assert found == expected


def test_categories_without_a_person_are_listed_and_may_be_named(tmp_path: Path) -> None:
    path = tmp_path / "det.json"
    content = json.loads(_coco([{"id": 1, "file_name": "1.jpg"}]))
    content["categories"] = [{"id": 1, "name": "ball"}, {"id": 2, "name": "player"}]
    content["annotations"] += [{"image_id": 1, "category_id": 2, "bbox": _BOX}] * 2
    path.write_text(json.dumps(content))
    with pytest.raises(
        InputError, match=r"det.json: no category of people; there are 'ball', 'player'.*setting .classes. NAME"
    ):
        read_any_detections(path)
    found = read_any_detections(path, classes=["Player"])
    assert (len(found.rows), found.notes) == (2, ("1 detections of other classes were left out: 1 ball",))
    with pytest.raises(InputError, match="no category referee; there are 'ball', 'player'"):
        read_any_detections(path, classes=["player", "referee"])


def test_results_of_another_category_name_the_file_and_the_categories(tmp_path: Path) -> None:
    path = tmp_path / "det.json"
    path.write_text(json.dumps([{"image_id": 1, "category_id": 0, "bbox": _BOX, "score": 0.5}]))
    with pytest.raises(InputError, match=r"det.json: no category of people; there are 0"):
        read_any_detections(path)
    assert len(read_any_detections(path, classes=["0"]).rows) == 1
    text = tmp_path / "det.txt"
    text.write_text("1,-1,10,20,30,40,0.5\n")
    with pytest.raises(InputError, match="has no categories"):
        read_any_detections(text, classes=["0"])


def test_shares_of_the_picture_a_header_and_a_folder_say_what_to_do(tmp_path: Path) -> None:
    for name, content in (
        ("det.txt", "1,-1,0.1,0.2,0.3,0.4,0.9\n2,-1,0.5,0.5,0.1,0.2,0.9\n"),
        ("det.json", json.dumps([{"image_id": 1, "bbox": [0.1, 0.2, 0.3, 0.4]}])),
    ):
        (tmp_path / name).write_text(content)
        with pytest.raises(InputError, match=rf"{name}: all coordinates lie within 0 … 1.*multiply"):
            read_any_detections(tmp_path / name)
    (tmp_path / "head.txt").write_text("frame,id,x,y,w,h,score\n1,-1,10,20,30,40,0.9\n")
    with pytest.raises(InputError, match=r"head.txt, line 1: a header line, expected numbers.*delete it"):
        read_any_detections(tmp_path / "head.txt")
    (tmp_path / "labels").mkdir()
    with pytest.raises(InputError, match=r"labels: a folder, expected one file.*YOLO"):
        read_any_detections(tmp_path / "labels")


@pytest.mark.parametrize("more", ["", ",1", ",1,0.7", ",-1,-1,-1"])
def test_seven_to_ten_columns_are_read(more: str, tmp_path: Path) -> None:
    path = tmp_path / "det.txt"
    path.write_text(f"1,-1,10,20,30,40,0.9{more}\n2,-1,10,20,30,40,0.8{more}\n")
    rows = read_any_detections(path).rows
    assert (rows.frames.tolist(), rows.scores.tolist()) == ([1, 2], [0.9, 0.8])
