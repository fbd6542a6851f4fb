from pathlib import Path

import pytest
import torch

from ssat.detection.centertrack_detector import CenterTrackDetector
from ssat.detection.checkpoint import checkpoint_path, read_checkpoint
from ssat.errors import InputError
from ssat.workspace import sha256_of


def test_a_published_file_is_read_and_its_digest_told(tmp_path: Path, state_dict: dict[str, torch.Tensor]) -> None:
    path = tmp_path / "mot17_half.pth"
    torch.save({"epoch": 70, "state_dict": {f"module.{k}": v for k, v in state_dict.items()}}, path)
    refiner = CenterTrackDetector.load(path)
    assert refiner.digest == sha256_of(path)
    torch.save(state_dict, path)
    assert read_checkpoint(path)[0].keys() == state_dict.keys()


def test_where_it_is_looked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SSAT_CENTERTRACK", raising=False)
    assert checkpoint_path(None, tmp_path) == tmp_path / "models" / "mot17_half.pth"
    monkeypatch.setenv("SSAT_CENTERTRACK", "/elsewhere/a.pth")
    assert checkpoint_path(None, tmp_path) == Path("/elsewhere/a.pth")
    assert checkpoint_path("mine.pth", tmp_path) == Path("mine.pth")


class _Code:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return print, ("this code was run",)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, r"mot.pth: no checkpoint.*github.com/xingyizhou/CenterTrack.*models/mot17_half.pth"),
        (b"not a checkpoint", r"mot.pth: not a checkpoint that can be read"),
        ([1, 2], r"holds a list, expected a dict with state_dict"),
        ({"state_dict": _Code()}, r"holds more than tensors, which is not read"),
        ({"state_dict": {"hm.0.weight": torch.zeros(1)}}, r"mot.pth: tensors do not fit.*missing.*and \d+ more"),
    ],
    ids=["missing", "noise", "a list", "code", "other tensors"],
)
def test_what_cannot_be_used(content: object, message: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "mot.pth"
    if isinstance(content, bytes):
        path.write_bytes(content)
    elif content is not None:
        torch.save(content, path)
    with pytest.raises(InputError, match=message):
        CenterTrackDetector.load(path)
    assert "this code was run" not in capfd.readouterr().out
