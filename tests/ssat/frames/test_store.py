import pickle
import shutil
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import simplejpeg

from ssat.errors import InputError
from ssat.frames.store import FrameStore


@pytest.fixture
def copy(small_store: FrameStore, tmp_path: Path) -> Path:
    """A copy of the small store, to be damaged."""
    return Path(shutil.copytree(small_store.folder, tmp_path / "frames"))


def test_frames_of_a_clip(small_store: FrameStore) -> None:
    frames = small_store.read_frames(2)
    assert [index for index, _ in frames] == list(range(45))
    assert simplejpeg.decode_jpeg(frames[0][1]).shape == (64, 96, 3)
    assert small_store.read_frames(2, [3, 40]) == [frames[3], frames[40]]


def test_frames_of_several_clips_at_once(small_store: FrameStore) -> None:
    rows = small_store.select({0: [5], 9: None, 4: [0, 29]})
    assert {class_id: [index for index, _, _ in some] for class_id, some in rows.items()} == {
        0: [5],
        4: [0, 29],
        9: list(range(30)),
    }
    assert rows[0][0][1] == 5 * 40_000
    assert rows[0][0][2] == small_store.read_frames(0, [5])[0][1]


def test_facts(small_store: FrameStore) -> None:
    assert small_store.n_clips == 10
    assert small_store.frames_of.tolist() == [30, 30, 45, *[30] * 7]
    assert small_store.class_ids.tolist() == list(range(10))
    assert len(small_store.digest) == 64
    assert small_store.clips.column("clip_id").to_pylist()[3] == "clip3"


@pytest.mark.parametrize(("class_id", "frames"), [(10, None), (-1, None), (0, [30])])
def test_what_is_not_there_is_an_error(small_store: FrameStore, class_id: int, frames: list[int] | None) -> None:
    with pytest.raises(InputError, match="class id"):
        small_store.read_frames(class_id, frames)


def test_a_missing_shard_is_named(copy: Path) -> None:
    store = FrameStore.open(copy)
    (copy / store.manifest.shards[0].path).unlink()
    with pytest.raises(InputError, match=r"shard-00000.*missing.*verify with setting `repair`"):
        store.read_frames(0)
    assert store.read_frames(9)  # in another shard


def test_a_truncated_shard_is_named(copy: Path) -> None:
    store = FrameStore.open(copy)
    path = copy / store.manifest.shards[0].path
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(InputError, match="truncated or changed"):
        store.read_frames(0)


@pytest.mark.parametrize("column", [0, 2])
def test_a_flipped_bit_in_a_label_or_frame_number_is_an_error_and_no_wrong_label(copy: Path, column: int) -> None:
    store = FrameStore.open(copy)
    path = copy / store.manifest.shards[0].path
    chunk = pq.ParquetFile(path).metadata.row_group(0).column(column)
    content = bytearray(path.read_bytes())
    at = chunk.data_page_offset + chunk.total_compressed_size - 2  # in the values, behind the page's header
    content[at] ^= 0x40
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"shard-00000.*row group 0 cannot be read.*CRC.*verify with setting `repair`"):
        store.read_frames(0)
    assert store.read_frames(9)


def test_a_shard_with_a_broken_footer_is_named(copy: Path) -> None:
    store = FrameStore.open(copy)
    path = copy / store.manifest.shards[0].path
    content = bytearray(path.read_bytes())
    content[-40:] = b"x" * 40
    path.write_bytes(content)
    with pytest.raises(InputError, match="not a readable Parquet file"):
        store.read_frames(0)


def test_a_table_with_other_columns_is_refused(copy: Path) -> None:
    store = FrameStore.open(copy)
    entry = store.manifest.shards[0]
    path = copy / entry.path
    pq.write_table(pa.table({"a": [1]}), path)
    path.write_bytes(path.read_bytes())
    fitting = entry.model_copy(update={"bytes": path.stat().st_size})
    store = FrameStore(copy, store.manifest.model_copy(update={"shards": (fitting,)}), store.clips)
    with pytest.raises(InputError, match="columns are not those of a frame store"):
        store.read_frames(0)


def test_a_changed_clip_table_is_refused(copy: Path) -> None:
    (copy / "clips.parquet").write_bytes(b"other")
    with pytest.raises(InputError, match="does not belong to the manifest"):
        FrameStore.open(copy)
    (copy / "clips.parquet").unlink()
    with pytest.raises(InputError, match="cannot be read"):
        FrameStore.open(copy)


def test_a_store_travels_to_another_process(small_store: FrameStore) -> None:
    small_store.read_frames(0)
    assert pickle.loads(pickle.dumps(small_store)).read_frames(0) == small_store.read_frames(0)  # noqa: S301
