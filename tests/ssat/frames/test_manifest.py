import json
from pathlib import Path

import pytest

from ssat.errors import InputError
from ssat.file_names import MANIFEST
from ssat.frames.manifest import ClipRecord, Manifest, ShardEntry, refuse_newer_store, shard_key


def manifest() -> Manifest:
    shard = ShardEntry(
        index=0,
        path="shard-00000-a.parquet",
        key="a",
        rows=3,
        row_groups=1,
        bytes=10,
        sha256="0" * 64,
        first_class_id=0,
        last_class_id=1,
    )
    return Manifest(
        settings={"quality": 90},
        encoder={"codec": "jpeg"},
        roster_digest="r",
        n_clips=2,
        n_frames=3,
        clips_sha256="1" * 64,
        shards=(shard,),
    )


def rewrite(folder: Path, **changes: object) -> None:
    path = folder / MANIFEST
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def test_a_manifest_comes_back_as_it_was_saved(tmp_path: Path) -> None:
    manifest().save(tmp_path)
    loaded = Manifest.load(tmp_path)
    assert loaded == manifest()
    assert loaded.digest == manifest().digest
    assert json.loads((tmp_path / MANIFEST).read_text())["digest"] == loaded.digest


def test_a_store_of_the_first_schema_is_read_and_says_that_its_colours_are_off(tmp_path: Path) -> None:
    assert manifest().outdated == ""
    manifest().model_copy(update={"schema_version": 1}).save(tmp_path)
    loaded = Manifest.load(tmp_path)
    assert loaded.n_frames == 3
    assert "schema version 1" in loaded.outdated
    assert "`ssat decode`" in loaded.outdated


def test_the_digest_follows_the_content() -> None:
    assert manifest().digest != manifest().model_copy(update={"n_frames": 4}).digest


def test_a_changed_manifest_is_refused(tmp_path: Path) -> None:
    manifest().save(tmp_path)
    rewrite(tmp_path, n_frames=4)
    with pytest.raises(InputError, match=r"digest .* does not fit the content"):
        Manifest.load(tmp_path)


@pytest.mark.parametrize("name", ["store_version", "schema_version"])
def test_a_newer_store_is_refused(tmp_path: Path, name: str) -> None:
    manifest().save(tmp_path)
    rewrite(tmp_path, **{name: 99, "field_of_the_future": 1})
    for look in (Manifest.load, refuse_newer_store):
        with pytest.raises(InputError, match=f"{name} 99 is newer.*upgrade"):
            look(tmp_path)


@pytest.mark.parametrize("path", ["../shard.parquet", "/etc/passwd", "a/b.parquet", "..", ".hidden", "a\\b"])
def test_a_shard_outside_the_folder_is_refused(tmp_path: Path, path: str) -> None:
    manifest().save(tmp_path)
    shard = {**manifest().shards[0].model_dump(), "path": path}
    rewrite(tmp_path, shards=[shard])
    with pytest.raises(InputError, match=r"shards\.0\.path"):
        Manifest.load(tmp_path)


@pytest.mark.parametrize("content", ["", "{", "[]", '{"store_version": 1}', "\udcff"])
def test_a_damaged_manifest_is_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / MANIFEST).write_text(content, errors="surrogateescape")
    with pytest.raises(InputError, match="ssat decode"):
        Manifest.load(tmp_path)


def test_a_store_of_this_version_or_none_or_a_damaged_one_may_be_replaced(tmp_path: Path) -> None:
    refuse_newer_store(tmp_path)
    manifest().save(tmp_path)
    refuse_newer_store(tmp_path)
    for content in ("{", "[]"):
        (tmp_path / MANIFEST).write_text(content)
        refuse_newer_store(tmp_path)


def test_no_store_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no frame store here; run `ssat decode`"):
        Manifest.load(tmp_path)


def test_the_key_of_a_shard_follows_settings_and_clips() -> None:
    rows = [{"rank": 0, "clip_id": "a", "sha256": "1"}, {"rank": 1, "clip_id": "b", "sha256": "2"}]
    keys = {
        shard_key({"quality": 90}, rows),
        shard_key({"quality": 91}, rows),
        shard_key({"quality": 90}, rows[:1]),
        shard_key({"quality": 90}, [rows[0], {**rows[1], "sha256": "3"}]),
    }
    assert len(keys) == 4


def test_files_keep_the_names_that_earlier_versions_wrote() -> None:
    record = ClipRecord(class_id=3, clip_id="a", status="ok")
    assert record.model_dump()["rank"] == 3
    assert ClipRecord.model_validate({"rank": 3, "clip_id": "a", "status": "ok"}) == record
    (shard,) = manifest().model_dump(mode="json")["shards"]
    assert (shard["first_rank"], shard["last_rank"]) == (0, 1)
    assert ShardEntry.model_validate(shard) == manifest().shards[0]
