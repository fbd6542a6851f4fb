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
    first, *others = (read_any_detections(path, n_frames=2) for path in (text, results, parquet))
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
    rows = read_any_detections(path)
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
