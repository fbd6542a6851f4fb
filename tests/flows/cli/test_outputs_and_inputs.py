"""No verb replaces a file that it reads, whatever it is told about overwriting."""

import hashlib
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from flows.cli import run
from ssat.embedding.embedder import Embedder
from ssat.workspace import Workspace


def _contents(folder: Path) -> dict[str, str]:
    files = [path for path in folder.rglob("*") if path.is_file()]
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


@pytest.fixture
def street(make_sequence: Callable[..., Path], tmp_path: Path) -> Path:
    """A folder with street.avi, street.mp4 and their detections."""
    sequence = make_sequence(tmp_path / "made")
    folder = tmp_path / "street"
    folder.mkdir()
    writer = cv2.VideoWriter(str(folder / "street.avi"), cv2.VideoWriter.fourcc(*"MJPG"), 10, (320, 200))
    for image in sorted((sequence / "img1").iterdir()):
        writer.write(cv2.imread(str(image)))
    writer.release()
    (folder / "street.mp4").write_bytes((folder / "street.avi").read_bytes())
    (folder / "street.txt").write_text((sequence / "det" / "det.txt").read_text())
    return folder


@pytest.mark.parametrize("overwrite", [(), ("--overwrite",)])
@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["street.mp4", "--detections", "det.txt", "--output", "."], "street.mp4"),
        (["street.avi", "--detections", "street.txt", "--output", "."], "street.txt"),
        (["street.avi", "--detections", "street.txt", "--output", ".", "--no-video"], "street.txt"),
        (["street.avi", "--detections", "street.txt", "--output", "linked"], "linked/street.txt"),
        (["street.avi", "other.avi", "--detections", "other.txt", "--output", "."], "other.txt"),
        (["street.avi", "--detections", "det.txt", "--output", "out"], "out/street.mp4"),
        (["street.avi", "--detections", "det.txt", "--output", ".", "--embedder", "street.parquet"], "street.parquet"),
        (["frames", "--detections", "det.txt", "--output", "frames"], "frames"),
    ],
)
def test_track_refuses(
    arguments: list[str],
    named: str,
    overwrite: tuple[str, ...],
    street: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(street)
    for copy in ("det.txt", "other.txt"):
        Path(copy).write_bytes(Path("street.txt").read_bytes())
    Path("other.avi").write_bytes(Path("street.avi").read_bytes())
    Path("linked").symlink_to(".", target_is_directory=True)
    Path("out").mkdir()
    Path("out/street.mp4").hardlink_to("street.avi")
    Path("frames").mkdir()
    for number in range(1, 13):
        cv2.imwrite(f"frames/{number}.png", np.zeros((200, 320, 3), np.uint8))
    Embedder.untrained("resnet18", 32).save(Path("street.parquet"))
    if "street.parquet" not in arguments:
        Path("street.parquet").unlink()
    before = _contents(street)
    tracker = () if "--embedder" in arguments else ("--tracker", "box")
    assert run(["track", *arguments, *tracker, *overwrite, "--workspace", "../ws"]) == 2
    message = capsys.readouterr().err
    assert named in message
    assert "input of this command" in message
    assert "--overwrite" not in message
    assert _contents(street) == before


def test_track_writes_beside_a_video_that_it_does_not_replace(street: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(street)
    Path("street.txt").rename("det.txt")
    before = _contents(street)
    common = ("--tracker", "box", "--detections", "det.txt", "--workspace", "../ws", "--output", ".")
    assert run(["track", "street.mp4", *common, "--no-video"]) == 0
    after = _contents(street)
    assert {name: after[name] for name in before} == before
    assert sorted(set(after) - set(before)) == ["street.parquet", "street.txt"]


def test_a_sequence_keeps_its_files(
    make_sequence: Callable[..., Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = make_sequence(tmp_path)
    info = folder / "seqinfo.ini"
    info.write_text(info.read_text().replace("name=WALK-01", "name=det"))
    before = _contents(folder)
    for output in ("det", "img1", "gt"):
        chosen = ("--tracker", "box", "--workspace", str(tmp_path / "ws"), "--overwrite")
        assert run(["track", str(folder), *chosen, "--output", str(folder / output)]) == 2
        assert "input of this command" in capsys.readouterr().err
    assert _contents(folder) == before


def test_embed_refuses(
    workspace: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("a.png", "b.png"):
        cv2.imwrite(name, np.zeros((60, 30, 3), np.uint8))
    Embedder.untrained("resnet18", 32).save(Path("embedder.safetensors"))
    Path("ssat.toml").write_text("")
    Path("link.parquet").symlink_to("b.png")
    before = _contents(tmp_path)
    common = ["--workspace", str(workspace.root), "--embedder", ".", "--config", "ssat.toml"]
    for output in ("a.png", "./b.png", "link.parquet", "embedder.safetensors", "ssat.toml"):
        assert run(["embed", "a.png", "b.png", *common, "--output", output]) == 2
        assert "is an input of this command" in capsys.readouterr().err
    assert _contents(tmp_path) == before


def test_export_refuses(
    workspace: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Embedder.untrained("resnet18", 32).save(Path("embedder.safetensors"))
    before = _contents(tmp_path)
    for named in (".", "embedder.safetensors"):
        common = ["--workspace", str(workspace.root), "--run", named, "--output", "."]
        assert run(["export", *common, "--format", "safetensors"]) == 2
        assert "embedder.safetensors: is an input of this command" in capsys.readouterr().err
    assert _contents(tmp_path) == before
