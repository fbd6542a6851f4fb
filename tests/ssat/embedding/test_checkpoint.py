import json
import pickle
from pathlib import Path

import pytest
import torch

from ssat.embedding.checkpoint import (
    NETWORK_FILE,
    STATE_FILE,
    Checkpoints,
    latest_checkpoint,
    load_head_rows,
    load_network,
    load_state,
)
from ssat.errors import InputError, WorkspaceError

SETTINGS = {"epochs": 16, "scale": 30.0}
ROWS = torch.arange(20.0).reshape(10, 2)


def facts(step: int) -> dict[str, object]:
    return {"data_digest": "a" * 64, "settings": SETTINGS, "class_ranks": list(range(10)), "step": step}


def saved(folder: Path, step: int = 3) -> Path:
    checkpoints = Checkpoints(folder)
    checkpoints.save(facts(step), {"network.w": torch.ones(3)}, {"weight": ROWS}, 0)
    checkpoints.wait()
    found = latest_checkpoint(folder)
    assert found is not None
    return found


def test_what_was_saved_is_loaded(tmp_path: Path) -> None:
    checkpoint = saved(tmp_path)
    state = load_state(checkpoint, data_digest="a" * 64, settings=SETTINGS)
    assert state["step"] == 3
    assert torch.equal(load_network(checkpoint)["network.w"], torch.ones(3))
    assert torch.equal(load_head_rows(checkpoint, state["head_files"], range(10))["weight"], ROWS)
    assert len(list(checkpoint.iterdir())) == 3


def test_rows_of_several_ranks_are_found_whatever_the_number_that_reads(tmp_path: Path) -> None:
    ranks = [Checkpoints(tmp_path, rank, shards=3) for rank in range(3)]
    for rank, rows in reversed(list(enumerate((range(3), range(3, 6), range(6, 10))))):
        ranks[rank].save(facts(1), {"network.w": torch.ones(1)}, {"weight": ROWS[rows.start : rows.stop]}, rows.start)
    for checkpoints in ranks:
        checkpoints.wait()
    checkpoint = latest_checkpoint(tmp_path)
    assert checkpoint is not None
    files = load_state(checkpoint, settings={})["head_files"]
    for rows in (range(10), range(5), range(5, 10), range(4, 8)):
        assert torch.equal(load_head_rows(checkpoint, files, rows)["weight"], ROWS[rows.start : rows.stop])
    # A larger training asks for more rows than there are: it gets the prefix.
    assert len(load_head_rows(checkpoint, files, range(20))["weight"]) == 10
    assert load_head_rows(checkpoint, files, range(10, 20)) == {}


def test_the_latest_are_kept_and_what_is_not_whole_is_none(tmp_path: Path) -> None:
    checkpoints = Checkpoints(tmp_path, keep=2)
    for step in (1, 2, 3, 4):
        checkpoints.save(facts(step), {}, {"weight": ROWS}, 0)
    checkpoints.wait()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["step-0000000003", "step-0000000004"]
    (tmp_path / "step-0000000004" / STATE_FILE).unlink()
    assert latest_checkpoint(tmp_path) == tmp_path / "step-0000000003"


def test_the_one_with_the_best_score_is_kept_besides_until_another_is_better(tmp_path: Path) -> None:
    checkpoints = Checkpoints(tmp_path, keep=1)
    best_at = {1: None, 2: 2, 3: 2, 4: 2, 5: 5, 6: 5}
    left = {}
    for step, best in best_at.items():
        checkpoints.save({**facts(step), "best_step": best}, {}, {"weight": ROWS}, 0)
        checkpoints.wait()
        left[step] = sorted(int(path.name[5:]) for path in tmp_path.iterdir())
    assert left == {1: [1], 2: [2], 3: [2, 3], 4: [2, 4], 5: [5], 6: [5, 6]}


def test_the_tensors_are_those_of_the_moment_of_saving(tmp_path: Path) -> None:
    weights = torch.ones(1000, 512)
    checkpoints = Checkpoints(tmp_path)
    checkpoints.save(facts(1), {"network.w": weights}, {"weight": ROWS}, 0)
    weights.zero_()
    checkpoints.wait()
    assert load_network(tmp_path / "step-0000000001")["network.w"].min() == 1


def test_other_data_and_other_settings_are_refused(tmp_path: Path) -> None:
    checkpoint = saved(tmp_path)
    with pytest.raises(InputError, match="made from frame store aaaaaaaaaaaa, this one is bbbbbbbbbbbb"):
        load_state(checkpoint, data_digest="b" * 64, settings=SETTINGS)
    with pytest.raises(InputError, match=r"made with other settings \(scale\)"):
        load_state(checkpoint, data_digest="a" * 64, settings={**SETTINGS, "scale": 64.0})
    state = json.loads((checkpoint / STATE_FILE).read_text())
    (checkpoint / STATE_FILE).write_text(json.dumps({**state, "version": 99}))
    with pytest.raises(InputError, match="version 99, expected 2"):
        load_state(checkpoint, settings={})


class Payload:
    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> tuple[object, tuple[Path]]:
        return (Path.touch, (self.target,))


@pytest.mark.parametrize("name", [NETWORK_FILE, STATE_FILE, "head-00000-of-00001.safetensors"])
def test_code_in_a_checkpoint_is_not_run(name: str, tmp_path: Path) -> None:
    checkpoint = saved(tmp_path / "checkpoints")
    (checkpoint / name).write_bytes(pickle.dumps(Payload(tmp_path / "ran")))
    with pytest.raises(InputError, match=rf"{name}: .*readable"):
        read_all(checkpoint)
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("keep", [0, 20, -5])
@pytest.mark.parametrize("name", [NETWORK_FILE, STATE_FILE, "head-00000-of-00001.safetensors"])
def test_a_truncated_file_is_named(name: str, keep: int, tmp_path: Path) -> None:
    checkpoint = saved(tmp_path)
    (checkpoint / name).write_bytes((checkpoint / name).read_bytes()[:keep])
    with pytest.raises(InputError, match=rf"{name}: not .*readable"):
        read_all(checkpoint)


def read_all(checkpoint: Path) -> None:
    state = load_state(checkpoint, data_digest="a" * 64, settings=SETTINGS)
    load_network(checkpoint)
    load_head_rows(checkpoint, state["head_files"], range(10))


def test_a_failed_write_is_said_and_leaves_the_one_before(tmp_path: Path) -> None:
    folder = tmp_path / "checkpoints"
    saved(folder, step=1)
    (folder / "step-0000000002").write_text("in the way")
    checkpoints = Checkpoints(folder)
    checkpoints.save(facts(2), {}, {"weight": ROWS}, 0)
    with pytest.raises(WorkspaceError, match=r"could not be written .*; step-0000000001 is kept"):
        checkpoints.wait()
    checkpoints.wait()  # said once
