import shutil
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ssat.frames.manifest import Manifest
from ssat.frames.schema import frame_writer_options
from ssat.frames.store import FrameStore
from ssat.frames.verify import verify_shard
from ssat.workspace import sha256_of


@pytest.fixture
def copy(small_store: FrameStore, tmp_path: Path) -> Path:
    return Path(shutil.copytree(small_store.folder, tmp_path / "frames"))


def shard_path(folder: Path, position: int = 0) -> Path:
    return folder / Manifest.load(folder).shards[position].path


def rewritten(folder: Path, table: pa.Table) -> FrameStore:
    """The first shard replaced by `table`, with a manifest that names the new file: only its content is wrong."""
    path = shard_path(folder)
    with pq.ParquetWriter(path, table.schema, **frame_writer_options()) as writer:
        writer.write_table(table, 256)
    manifest = Manifest.load(folder)
    entry = manifest.shards[0].model_copy(
        update={"bytes": path.stat().st_size, "sha256": sha256_of(path), "rows": table.num_rows}
    )
    manifest.model_copy(update={"shards": (entry, *manifest.shards[1:])}).save(folder)
    return FrameStore.open(folder)


def test_a_sound_store_has_no_problems(small_store: FrameStore) -> None:
    for position, entry in enumerate(small_store.manifest.shards):
        report = verify_shard(small_store, position)
        assert report.problems == ()
        assert report.jpegs_decoded == report.rows == entry.rows


def test_a_sample_decodes_its_share(small_store: FrameStore) -> None:
    assert verify_shard(small_store, 0, 0.2).jpegs_decoded == 27
    assert verify_shard(small_store, 0, 0.0).jpegs_decoded == 0


def test_a_flipped_byte_is_found_by_digest_and_page_checksum(copy: Path) -> None:
    path = shard_path(copy)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    problems = "\n".join(verify_shard(FrameStore.open(copy), 0, 0.0).problems)
    assert "SHA-256" in problems
    assert "CRC checksum" in problems
    assert not verify_shard(FrameStore.open(copy), 1).problems


@pytest.mark.parametrize(
    ("damage", "message"), [("gone", "missing"), ("short", "truncated or changed"), ("empty", "truncated")]
)
def test_a_missing_or_truncated_shard_is_found(copy: Path, damage: str, message: str) -> None:
    path = shard_path(copy)
    if damage == "gone":
        path.unlink()
    else:
        path.write_bytes(path.read_bytes()[: 0 if damage == "empty" else -5])
    (problem,) = verify_shard(FrameStore.open(copy), 0).problems
    assert message in problem


def test_rows_in_another_order_are_found(copy: Path) -> None:
    table = pq.read_table(shard_path(copy))
    swapped = table.take([1, 0, *range(2, table.num_rows)])
    (problem,) = verify_shard(rewritten(copy, swapped), 0).problems
    assert "2 rows are not where the permutation of seed 0 puts them" in problem


def test_a_lost_row_is_found(copy: Path) -> None:
    table = pq.read_table(shard_path(copy))
    rank = table.column("class_id")[0].as_py()
    (problem,) = verify_shard(rewritten(copy, table.slice(1)), 0).problems
    assert f"clip with class id {rank} has" in problem


def test_a_jpeg_that_is_none_and_a_wrong_size_are_found(copy: Path) -> None:
    table = pq.read_table(shard_path(copy))
    jpegs = table.column("jpeg").to_pylist()
    jpegs[3] = jpegs[3][: len(jpegs[3]) // 2]
    jpegs[5] = b"no JPEG"
    widths = table.column("width").to_pylist()
    widths[7] += 2
    table = table.set_column(6, table.schema.field(6), pa.array(jpegs, pa.binary()))
    table = table.set_column(4, table.schema.field(4), pa.array(widths, pa.int16()))
    problems = verify_shard(rewritten(copy, table), 0).problems
    assert len(problems) == 3
    assert "row 3 " in problems[0]
    assert "row 5 " in problems[1]
    assert "JPEG of 96x64, the row says 98x64" in problems[2]


def test_a_clip_under_another_name_is_found(copy: Path) -> None:
    table = pq.read_table(shard_path(copy))
    names = table.column("clip_id").cast(pa.string()).to_pylist()
    names[0] = "someone else"
    changed = pa.array(names).dictionary_encode()
    table = table.set_column(1, table.schema.field(1), changed)
    (problem,) = verify_shard(rewritten(copy, table), 0).problems
    assert "'someone else' is not the clip of this class id" in problem
