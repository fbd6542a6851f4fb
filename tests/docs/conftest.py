"""A folder that holds what the pages speak of: videos, lists, sequences, a trained workspace."""

import contextlib
import io
import json
import shlex
import shutil
import tarfile
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import simplejpeg
import torch
import torchvision

from ssat.demo.server import serve
from ssat.demo.settings import DemoSettings
from ssat.demo.world import clip_id, write_clips, write_sequences

_WORLD = DemoSettings(clips=24, clip_seconds=3.0, frames=20, figures=3)
_RENDERED = range(9)
_STREET_FRAMES = 2  # a detector takes seconds for each

# Everything as small as it goes, in both presets. What it leaves out is what the pages' commands say themselves.
_SMALL = """
[collect]
clip_seconds = 3
min_seconds = 1
encoder_preset = "ultrafast"

[decode]
frame_stride = 10
short_side = 64

[train]
architecture = "resnet18"
crop = 32
short_side = 40
early_crop = 32
early_epochs = 0
flip = true
learning_rate = 0.1
schedule = "cosine"
scale = 30.0
frames_per_clip = 4
batch_size = 8
epochs = 1
held_out_clips = 2
workers = 1

[colours]
held_out_clips = 2

[colours.follow]
min_seconds = 0.5

[benchmark]
split = "train"
detections = "public"
video = false

[scale]
ladder = [3, 6]

[study_trackers.tracklets]
crop = 32
min_frames = 4
epochs = 1
batch_size = 8
"""


@dataclass(frozen=True)
class Place:
    """Where the commands of the pages are typed."""

    folder: Path
    address: str
    """Of a web server that has the clips, the archives and a zip of MOT17."""
    ssat: Callable[[str], dict[str, Any]]
    """Runs one command, as typed; the configuration file that makes everything small is added. Gives its --json."""
    trainings: tuple[dict[str, Any], dict[str, Any]]
    """Results of `ssat train`: of all clips, and of 3."""

    def filled(self, command: str) -> str:
        """`command` with its placeholders: the server's address, runs and a folder of the trainings."""
        first, second = (training["mlflow_run_id"] for training in self.trainings)
        folder = Path(self.trainings[1]["embedder"]).parent.name
        return command.format(address=self.address, first=first, second=second, folder=folder)


@pytest.fixture(scope="session")
def _inputs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pages")
    (folder / "small.toml").write_text(_SMALL)
    mine = _SMALL.replace("[collect]", '[collect]\nsource = "videos"').replace(
        "[benchmark]", '[benchmark]\nmot = "MOT17/train"'
    )
    (folder / "ssat.toml").write_text(mine)
    listed = write_clips(folder / "videos", _WORLD, only=_RENDERED)
    rows = listed.read_text().splitlines(keepends=True)[: 1 + len(_RENDERED)]
    listed.unlink()
    for name in ("list.csv", "kinetics-600_test.csv"):
        (folder / name).write_text("".join(rows))
    _write_archive(folder)
    _write_mot(folder)
    _write_street(folder)
    _write_crossing(folder)
    _write_weights(folder)
    return folder


def _write_archive(folder: Path) -> None:
    """A list of one archive that has some of the clips."""
    with tarfile.open(folder / "clips.tar", "w") as archive:
        for clip in range(4):
            archive.add(folder / "videos" / f"{clip_id(_WORLD, clip)}.mp4", f"{clip_id(_WORLD, clip)}.mp4")
    (folder / "k600_test_path.txt").write_text("clips.tar\n")


def _write_mot(folder: Path) -> None:
    """MOT17/train and the same as its publisher has it, results of another tracker, a zip for the server."""
    made = write_sequences(folder / "made", _WORLD)
    train = folder / "MOT17" / "train"
    results = folder / "my-tracker"
    train.mkdir(parents=True)
    results.mkdir()
    for source, name in zip(sorted(made.iterdir()), ("MOT17-02-FRCNN", "MOT17-09-FRCNN"), strict=True):
        (source / "seqinfo.ini").write_text((source / "seqinfo.ini").read_text().replace(source.name, name))
        source.rename(train / name)
        rows = np.loadtxt(train / name / "gt" / "gt.txt", delimiter=",")
        rows[:, 6:] = [1, -1, -1] if rows.shape[1] == 9 else [1, -1, -1, -1]
        np.savetxt(results / f"{name}.txt", rows, fmt="%g", delimiter=",")
    with zipfile.ZipFile(folder / "MOT17.zip", "w") as archive:
        for path in sorted(train.rglob("*")):
            archive.write(path, path.relative_to(folder))
    with zipfile.ZipFile(folder / "submission.zip", "w") as archive:
        for name in (f"MOT17-{n:02d}-{detector}.txt" for n in range(1, 15) for detector in ("DPM", "FRCNN", "SDP")):
            archive.writestr(name, "1,1,10,20,30,60,1,-1,-1,-1\n")


def _write_street(folder: Path) -> None:
    """A video, a folder of images, detections for both, persons, an embedder, clips of an unlabelled street."""
    import av

    from ssat.embedding.embedder import Embedder

    sequence = folder / "MOT17" / "train" / "MOT17-09-FRCNN"
    (folder / "frames").mkdir()
    paths = sorted((sequence / "img1").iterdir())[:_STREET_FRAMES]
    for path in paths:
        shutil.copy(path, folder / "frames")
    lines = (sequence / "det" / "det.txt").read_text().splitlines(keepends=True)
    (folder / "street.txt").write_text("".join(line for line in lines if int(line.split(",")[0]) <= len(paths)))
    images = [simplejpeg.decode_jpeg(path.read_bytes()) for path in paths]
    with av.open(str(folder / "street.mp4"), "w", options={"movflags": "faststart"}) as container:
        stream = container.add_stream("libx264", rate=10)
        stream.height, stream.width = images[0].shape[:2]
        stream.pix_fmt = "yuv420p"
        for image in images:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        container.mux(stream.encode(None))
    rows = np.loadtxt(folder / "street.txt", delimiter=",", ndmin=2)
    (folder / "frames.json").write_text(
        json.dumps(
            [{"image_id": int(r[0]), "category_id": 1, "bbox": list(r[2:6]), "score": float(r[6])} for r in rows]
        )
    )
    for number in (1, 2):
        x, y, width, height = rows[number, 2:6].astype(int)
        cut = np.ascontiguousarray(images[0][max(y, 0) : y + height, max(x, 0) : x + width])
        (folder / f"person{number}.jpg").write_bytes(simplejpeg.encode_jpeg(cut))
    (folder / "out").mkdir()
    embedder = Embedder.untrained("resnet18", input_size=32)
    for path in ("embedder.safetensors", "out/embedder.safetensors"):
        embedder.save(folder / path)
    # Sequences whose labels are not looked at, below the folder of videos: its other files are no videos to collect.
    for number, source in enumerate(sorted((folder / "MOT17" / "train").iterdir()), 1):
        shutil.copytree(source, folder / "videos" / f"street-{number}")


def _write_crossing(folder: Path) -> None:
    """The video with labels as CVAT exports them, and its detections."""
    (folder / "crossing").mkdir()
    for name in ("street.mp4", "street.txt"):
        shutil.copy(folder / name, folder / "crossing")
    rows = np.loadtxt(folder / "MOT17" / "train" / "MOT17-09-FRCNN" / "gt" / "gt.txt", delimiter=",")
    rows = rows[rows[:, 0] <= _STREET_FRAMES]
    tracks = [
        f'<track id="{identity:g}" label="person">'
        + "".join(
            f'<box frame="{frame - 1:g}" outside="0" occluded="0" xtl="{x}" ytl="{y}" xbr="{x + width}" '
            f'ybr="{y + height}" />'
            for frame, _, x, y, width, height in rows[rows[:, 1] == identity, :6]
        )
        + "</track>"
        for identity in np.unique(rows[:, 1])
    ]
    (folder / "crossing" / "street.xml").write_text(f"<annotations>{''.join(tracks)}</annotations>")


@pytest.fixture(scope="session")
def place(_inputs: Path, prefect_server: str, ray_cluster: None) -> Iterator[Place]:
    """The folder after the first command of the README and a training of fewer clips."""
    from flows.cli import run

    def ssat(line: str) -> dict[str, Any]:
        words = [*shlex.split(line)[1:], "--json"]
        if "--config" not in words:
            words += ["--config", "small.toml"]
        with contextlib.redirect_stdout(io.StringIO()) as output:
            assert run(words, debug=True) == 0, line
        last = output.getvalue().splitlines()[-1]
        answer: dict[str, Any] = json.loads(last)
        return answer

    with serve(_inputs) as address:
        urls = [f"{address}/videos/{path.name}" for path in sorted((_inputs / "videos").glob("*.mp4"))[:2]]
        (_inputs / "urls.txt").write_text("\n".join(urls) + "\n")
        with contextlib.chdir(_inputs):
            whole = ssat("ssat run --source videos/ --mot MOT17/train --detections public")
            few = ssat("ssat train --clips 3")
        yield Place(_inputs, address, ssat, (whole["train"], few))


@pytest.fixture
def in_place(place: Place, monkeypatch: pytest.MonkeyPatch) -> Place:
    """The same, as the current folder; without what `ssat track` wrote before, which it would not replace."""
    monkeypatch.chdir(place.folder)
    monkeypatch.setattr("ssat.detection.centertrack_detector.INPUT_SIZE", (192, 128))
    monkeypatch.setenv("TORCH_HOME", "torch")
    shutil.rmtree("workspace/tracks", ignore_errors=True)
    return place


def _write_weights(folder: Path) -> None:
    """Drawn weights where torchvision and ssat keep those that are published: there is no network in a test."""
    from ssat.detection.network import CenterNetwork

    torch.manual_seed(0)
    hub = folder / "torch" / "hub" / "checkpoints"
    hub.mkdir(parents=True)
    detection = torchvision.models.detection
    for name, weights in (
        ("fasterrcnn_resnet50_fpn_v2", detection.FasterRCNN_ResNet50_FPN_V2_Weights.DEFAULT),
        ("fcos_resnet50_fpn", detection.FCOS_ResNet50_FPN_Weights.DEFAULT),
    ):
        model = torchvision.models.get_model(name, weights=None, weights_backbone=None, num_classes=91)
        torch.save(model.state_dict(), hub / weights.url.rsplit("/", 1)[-1])
    state = {f"module.{name}": value for name, value in CenterNetwork().state_dict().items()}
    path = folder / "workspace" / "models" / "mot17_half.pth"
    path.parent.mkdir(parents=True)
    torch.save({"epoch": 70, "state_dict": state}, path)
    shutil.copy(path, folder / path.name)
