"""The instances table: what is written is read, by frame; parts are kept, damage is found."""

import json
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from ssat.errors import InputError
from ssat.frames.instances import INSTANCE_SCHEMA, ClipInstances, InstanceTable, write_instances


def clip(class_id: int, instances: int, frames: int = 3, readable: bool = True) -> ClipInstances:
    number, index = (part.ravel() for part in np.mgrid[:instances, :frames])
    x = 0.1 * number + 0.01 * index
    return ClipInstances(
        class_id, f"clip{class_id}", number, 5 * index, np.stack([x, x, x + 0.3, x + 0.6], axis=1), 1, readable
    )


def test_boxes_are_found_by_frame_and_class_ids_follow_the_clips(tmp_path: Path) -> None:
    parts = [("a", [clip(0, 2), clip(2, 0, readable=False)]), ("b", [clip(3, 3, frames=2)])]
    manifest = write_instances(tmp_path, "patch", {"per_clip": 3}, parts)
    table = InstanceTable.open(tmp_path)
    assert table.digest == manifest.digest
    assert table.class_ids([0, 2, 3]).tolist() == [0, 1, 3000, 3001, 3002]
    assert table.class_ids([0, 2]).tolist() == [0, 1], "fewer clips are a prefix"
    assert table.frames_of.tolist() == [3, 0, 0, 2]
    assert table.clips["status"].to_pylist() == ["ok", "unreadable", "ok"]
    class_ids, boxes = table.part(1).of_frame(3, 5)
    assert class_ids.tolist() == [3000, 3001, 3002]
    np.testing.assert_allclose(boxes[1], [0.11, 0.11, 0.41, 0.71], rtol=1e-6)
    assert len(table.part(1).of_frame(3, 4)[0]) == len(table.part(1).of_frame(0, 5)[0]) == 0
    clips, frames = np.array([0, 0, 0, 0, 2], np.int32), np.array([0, 5, 10, 11, 0], np.int16)
    assert table.part(0).ordinal(clips, frames).tolist() == [0, 1, 2, -1, -1]


def test_a_part_is_a_parquet_file_with_the_columns_and_page_checksums(tmp_path: Path) -> None:
    write_instances(tmp_path, "patch", {}, [("a", [clip(0, 2), clip(7, 1)])])
    path = tmp_path / "part-00000.parquet"
    table = pq.read_table(path, page_checksum_verification=True)
    assert table.schema.equals(INSTANCE_SCHEMA)
    assert table["clip_id"].to_pylist() == ["clip0"] * 6 + ["clip7"] * 3
    assert set(table["kind"].to_pylist()) == {"patch"}
    assert table["frame_index"].to_pylist() == [0, 0, 5, 5, 10, 10, 0, 5, 10]


def test_parts_whose_clips_did_not_change_are_kept(tmp_path: Path) -> None:
    write_instances(tmp_path, "patch", {}, [("a", [clip(0, 2)]), ("b", [clip(1, 2)])])
    first = InstanceTable.open(tmp_path)
    before = [(tmp_path / entry.path).stat().st_ino for entry in first.manifest.parts]
    write_instances(tmp_path, "patch", {}, [("a", [clip(0, 2)]), ("c", [clip(1, 2), clip(2, 1)])])
    after = [(tmp_path / entry.path).stat().st_ino for entry in first.manifest.parts]
    assert before[0] == after[0]
    assert before[1] != after[1]
    second = InstanceTable.open(tmp_path)
    assert second.digest != first.digest
    assert second.recipe == first.recipe, "class ids of both agree"


def test_a_changed_part_and_a_changed_manifest_are_refused(tmp_path: Path) -> None:
    write_instances(tmp_path, "patch", {}, [("a", [clip(0, 2)])])
    part, manifest = tmp_path / "part-00000.parquet", tmp_path / "manifest.json"
    content = bytearray(part.read_bytes())
    content[60] ^= 1
    part.write_bytes(content)
    with pytest.raises(InputError, match=r"part-00000\.parquet: its digest"):
        InstanceTable.open(tmp_path).part(0)
    stated = json.loads(manifest.read_text())
    manifest.write_text(json.dumps({**stated, "kind": "person"}))
    with pytest.raises(InputError, match="digest does not fit"):
        InstanceTable.open(tmp_path)
    manifest.write_text(json.dumps({**stated, "table_version": 2}))
    with pytest.raises(InputError, match="pgrade ssat"):
        InstanceTable.open(tmp_path)
    manifest.write_text("[]")
    with pytest.raises(InputError, match="damaged"):
        InstanceTable.open(tmp_path)
    with pytest.raises(InputError, match="no such file"):
        InstanceTable.open(tmp_path / "none")


def test_more_instances_than_class_ids_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="more than 1000 instances"):
        write_instances(tmp_path, "patch", {}, [("a", [clip(0, 1001, frames=1)])])
