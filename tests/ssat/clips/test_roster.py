import threading
from dataclasses import replace

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ssat.clips.roster import (
    ROSTER_SCHEMA,
    appended,
    load_roster,
    replaced,
    roster_digest,
    roster_facts,
    save_roster,
)
from ssat.clips.rows import CollectedClip
from ssat.errors import InputError
from ssat.workspace import Workspace


def _rows(*clip_ids: str) -> list[CollectedClip]:
    paths = ((clip_id, f"clips/trimmed/{clip_id}.mp4") for clip_id in clip_ids)
    return [CollectedClip(clip_id, path, f"sha-{clip_id}", 64, 48, 30.0, 90, 3.0, 1000) for clip_id, path in paths]


def test_ranks_are_appended_and_survive_saving(workspace: Workspace) -> None:
    first = appended(ROSTER_SCHEMA.empty_table(), _rows("b", "a"))
    both = appended(first, _rows("c"))
    save_roster(workspace, both, {"seed": "7"})
    loaded = load_roster(workspace)
    assert loaded["rank"].to_pylist() == [0, 1, 2]
    assert loaded["clip_id"].to_pylist() == ["b", "a", "c"]
    assert roster_facts(loaded) == {"seed": "7"}
    assert loaded.slice(0, 2).replace_schema_metadata(None).equals(first)


def test_a_clip_collected_again_keeps_its_rank(workspace: Workspace) -> None:
    table = appended(ROSTER_SCHEMA.empty_table(), _rows("b", "a", "c"))
    again = replaced(table, [replace(_rows("a")[0], sha256="new")])
    assert again["sha256"].to_pylist() == ["sha-b", "new", "sha-c"]
    assert again["rank"].to_pylist() == [0, 1, 2]


def test_the_digest_depends_on_ranks_and_contents_alone() -> None:
    table = appended(ROSTER_SCHEMA.empty_table(), _rows("b", "a"))
    assert roster_digest(table) == roster_digest(appended(ROSTER_SCHEMA.empty_table(), _rows("b", "a")))
    assert roster_digest(table) != roster_digest(appended(ROSTER_SCHEMA.empty_table(), _rows("a", "b")))
    assert roster_digest(table) != roster_digest(replaced(table, [replace(_rows("a")[0], sha256="new")]))
    # printf '0\tb\tsha-b\n1\ta\tsha-a\n' | sha256sum
    assert roster_digest(table) == "9f21f85b283ab0696248f7581c2d85daeea790304270f336cdf44bd56779ee6e"


def test_a_missing_or_foreign_roster(workspace: Workspace) -> None:
    with pytest.raises(InputError, match="run `ssat collect` first"):
        load_roster(workspace)
    workspace.clips.mkdir()
    workspace.roster.write_text("rank,clip_id")
    with pytest.raises(InputError, match="not a readable roster"):
        load_roster(workspace)
    pq.write_table(pa.table({"rank": [0]}), workspace.roster)
    with pytest.raises(InputError, match="not a roster of this version"):
        load_roster(workspace)
    table = appended(ROSTER_SCHEMA.empty_table(), _rows("b", "a"))
    save_roster(workspace, table.take([1, 0]), {})
    with pytest.raises(InputError, match="changed by hand"):
        load_roster(workspace)


def test_a_roster_that_is_replaced_all_the_time_is_read_whole(workspace: Workspace) -> None:
    empty = ROSTER_SCHEMA.empty_table()
    small, large = appended(empty, _rows("a")), appended(empty, _rows(*(f"clip-{i}" for i in range(200))))
    save_roster(workspace, small, {})
    done = threading.Event()

    def replace() -> None:
        while not done.is_set():
            save_roster(workspace, large, {})
            save_roster(workspace, small, {})

    writer = threading.Thread(target=replace)
    writer.start()
    try:
        assert {load_roster(workspace).num_rows for _ in range(300)} <= {1, 200}
    finally:
        done.set()
        writer.join()
