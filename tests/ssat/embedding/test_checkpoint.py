import pickle
from pathlib import Path

import pytest
import torch

from ssat.embedding.checkpoint import load_checkpoint, save_checkpoint
from ssat.errors import InputError

SETTINGS = {"epochs": 16, "scale": 30.0}


def saved(path: Path, **changes: object) -> Path:
    state = {"data_digest": "a" * 64, "settings": SETTINGS, "history": [{"loss": 1.0}], "model": {"w": torch.ones(3)}}
    save_checkpoint(path, {**state, **changes})
    return path


def test_what_was_saved_is_loaded(tmp_path: Path) -> None:
    state = load_checkpoint(saved(tmp_path / "c.pt"), data_digest="a" * 64, settings=SETTINGS)
    assert state["history"] == [{"loss": 1.0}]
    assert torch.equal(state["model"]["w"], torch.ones(3))
    assert [path.name for path in tmp_path.iterdir()] == ["c.pt"]


def test_other_data_and_other_settings_are_refused(tmp_path: Path) -> None:
    path = saved(tmp_path / "c.pt")
    with pytest.raises(InputError, match="made from frame store aaaaaaaaaaaa, this one is bbbbbbbbbbbb"):
        load_checkpoint(path, data_digest="b" * 64, settings=SETTINGS)
    with pytest.raises(InputError, match=r"made with other settings \(scale\)"):
        load_checkpoint(path, data_digest="a" * 64, settings={**SETTINGS, "scale": 64.0})


class Payload:
    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> tuple[object, tuple[Path]]:
        return (Path.touch, (self.target,))


def test_code_in_a_checkpoint_is_not_run(tmp_path: Path) -> None:
    path = tmp_path / "c.pt"
    torch.save({"version": 1, "payload": Payload(tmp_path / "ran")}, path)
    with pytest.raises(InputError, match="not a readable checkpoint"):
        load_checkpoint(path, data_digest="", settings={})
    path.write_bytes(pickle.dumps(Payload(tmp_path / "ran")))
    with pytest.raises(InputError, match="not a readable checkpoint"):
        load_checkpoint(path, data_digest="", settings={})
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("keep", [0, 100, -50])
def test_a_truncated_checkpoint_is_refused(keep: int, tmp_path: Path) -> None:
    path = saved(tmp_path / "c.pt")
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(InputError, match=r"c\.pt: not a readable checkpoint"):
        load_checkpoint(path, data_digest="a" * 64, settings=SETTINGS)


def test_another_version_is_refused(tmp_path: Path) -> None:
    path = saved(tmp_path / "c.pt", version=99)
    with pytest.raises(InputError, match="not a checkpoint of version 1"):
        load_checkpoint(path, data_digest="a" * 64, settings=SETTINGS)
