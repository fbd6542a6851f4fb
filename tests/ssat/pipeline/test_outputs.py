from dataclasses import replace
from pathlib import Path

import av
import numpy as np
import pyarrow.parquet as pq
import pytest

from ssat.errors import InputError
from ssat.mot.detection_files import read_any_detections
from ssat.mot.rows import read_results
from ssat.pipeline.outputs import TrackFiles
from ssat.tracking import Tracks


def _tracks(*ids: int, scores: bool = True) -> Tracks:
    boxes = np.array([[10.0 * i, 5, 10 * i + 8, 25] for i in ids]).reshape(-1, 4)
    return Tracks(np.array(ids, np.int64), boxes, np.arange(len(ids)), np.full(len(ids), 0.75) if scores else None)


_IMAGE = np.zeros((48, 64, 3), np.uint8)


def test_text_table_and_video_say_the_same(tmp_path: Path) -> None:
    with TrackFiles(tmp_path / "new" / "folder", "walk", video=10.0) as files:
        files.write(1, _IMAGE, _tracks(1, 2))
        assert len(list((tmp_path / "new" / "folder").glob(".walk*.txt"))) == 1, "not under its name before it is whole"
        files.write(2, _IMAGE, _tracks())
        files.write(4, _IMAGE, _tracks(2, scores=False), (np.array([1]), np.array([[10.0, 5, 18, 25]])))
    rows = read_results(files.results)
    assert list(zip(rows.frames.tolist(), rows.ids.tolist(), strict=True)) == [(1, 1), (1, 2), (4, 2)]
    table = pq.read_table(files.table)
    assert table.column_names == ["frame", "id", "x1", "y1", "x2", "y2", "score"]
    assert table["frame"].to_pylist() == [1, 1, 4]
    assert table["score"].to_pylist() == [0.75, 0.75, 1.0]
    again = read_any_detections(files.table)
    np.testing.assert_allclose(again.boxes, rows.boxes)
    with av.open(str(files.video)) as container:
        assert sum(1 for _ in container.decode(video=0)) == 3


@pytest.mark.parametrize("error", [KeyboardInterrupt(), InputError("broken after frame 2")])
def test_what_ends_it_leaves_whole_files_up_to_there(error: BaseException, tmp_path: Path) -> None:
    def cut_short() -> None:
        with TrackFiles(tmp_path, "walk", video=10.0) as files:
            files.write(1, _IMAGE, _tracks(1))
            files.write(2, _IMAGE, _tracks(1, 2))
            raise error

    with pytest.raises(type(error)):
        cut_short()
    assert read_results(tmp_path / "walk.txt").frames.tolist() == [1, 2, 2]
    assert pq.read_table(tmp_path / "walk.parquet").num_rows == 3
    with av.open(str(tmp_path / "walk.mp4")) as container:
        assert sum(1 for _ in container.decode(video=0)) == 2
    assert sorted(path.name for path in tmp_path.iterdir()) == ["walk.mp4", "walk.parquet", "walk.txt"]


def test_files_of_an_earlier_run_stay_unless_told_otherwise(tmp_path: Path) -> None:
    (tmp_path / "walk.parquet").write_text("mine")
    with pytest.raises(InputError, match=r"holds walk.parquet already.*setting `overwrite`"):
        TrackFiles(tmp_path, "walk", video=None)
    with TrackFiles(tmp_path, "walk", video=None, overwrite=True) as files:
        assert (tmp_path / "walk.parquet").read_text() == "mine"
        files.write(1, None, _tracks(1))
    assert pq.read_table(tmp_path / "walk.parquet").num_rows == 1


def test_many_rows_and_none(tmp_path: Path) -> None:
    with TrackFiles(tmp_path, "many", video=None) as files:
        for number in range(1, 51):
            files.write(number, None, _tracks(*range(1, 201)))
    table = pq.read_table(files.table)
    assert table.num_rows == 10_000
    assert table["frame"].to_pylist() == [n for n in range(1, 51) for _ in range(200)]
    with TrackFiles(tmp_path, "none", video=10.0) as files:
        pass
    assert pq.read_table(files.table).num_rows == 0
    assert len(read_results(files.results)) == 0


def test_filled_gaps_stand_in_text_and_table_also_where_it_was_cut_short(tmp_path: Path) -> None:
    def cut_short() -> None:
        with TrackFiles(tmp_path, "walk", video=None, fill_gaps=2) as files:
            for number, ids in ((1, (1, 2)), (2, (2,)), (3, (2,)), (4, (1, 2)), (9, (1, 2))):
                files.write(number, None, _tracks(*ids))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        cut_short()
    rows = read_results(tmp_path / "walk.txt")
    assert list(zip(rows.frames.tolist(), rows.ids.tolist(), strict=True)) == [
        (1, 1), (1, 2), (2, 1), (2, 2), (3, 1), (3, 2), (4, 1), (4, 2), (9, 1), (9, 2),
    ]  # fmt: skip
    assert pq.read_table(tmp_path / "walk.parquet")["id"].to_pylist() == rows.ids.tolist()


def test_who_is_recognised_late_has_the_former_identity_from_the_return_on(tmp_path: Path) -> None:
    with TrackFiles(tmp_path, "walk", video=None) as files:
        for number, ids in ((1, (1, 2)), (2, (2,)), (9, (2, 3))):
            files.write(number, None, _tracks(*ids))
        files.write(10, None, replace(_tracks(1, 2), regained=((3, 1),)))
    rows = read_results(files.results)
    found = list(zip(rows.frames.tolist(), rows.ids.tolist(), strict=True))
    assert sorted(found) == [(1, 1), (1, 2), (2, 2), (9, 1), (9, 2), (10, 1), (10, 2)]
    table = pq.read_table(files.table)
    assert sorted(zip(table["frame"].to_pylist(), table["id"].to_pylist(), strict=True)) == sorted(found)
    np.testing.assert_allclose(read_any_detections(files.table).boxes, rows.boxes)
