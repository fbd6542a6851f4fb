"""Graphs for other projects, loaded by those projects as they are."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import get_args

import cv2
import numpy as np
import pytest
import torch

from ssat.embedding.embedder import Embedder
from ssat.embedding.export_for import MIN_COSINE, Target, export_for, export_module
from ssat.embedding.histogram import HistogramNetwork
from ssat.embedding.named import load_embedder
from ssat.embedding.patches import crop_patches
from ssat.errors import InputError

pytestmark = pytest.mark.slow

_SIZE = 48
_BOXES = np.array([[10.0, 10, 58, 58], [70, 20, 118, 68], [20, 80, 68, 128]])  # 48 pixels: nobody resizes
_BOXMOT = Path(os.environ.get("SSAT_BOXMOT", "benchmarks/.peers/boxmot/bin/python"))


@pytest.fixture(scope="module")
def embedder() -> Embedder:
    return Embedder.untrained("resnet18", _SIZE, seed=3)


@pytest.fixture(scope="module")
def image() -> np.ndarray:
    noise = np.random.default_rng(1).integers(0, 256, (18, 18, 3), dtype=np.uint8)
    return np.asarray(cv2.resize(noise, (144, 144), interpolation=cv2.INTER_CUBIC))


@pytest.fixture(scope="module")
def patches(image: np.ndarray) -> np.ndarray:
    return crop_patches(image, _BOXES, _SIZE)[0]


@pytest.fixture(scope="module")
def for_opencv(embedder: Embedder, patches: np.ndarray, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return export_for(embedder, "opencv", tmp_path_factory.mktemp("for"), patches)[0]


def _cosine(features: np.ndarray, expected: np.ndarray) -> float:
    assert features.shape == expected.shape
    assert np.abs(np.linalg.norm(expected, axis=1) - 1).max() < 1e-4
    return float((features * expected).sum(1).min() / np.linalg.norm(features, axis=1).max())


def test_opencv_gives_the_same_features(for_opencv: Path, embedder: Embedder, patches: np.ndarray) -> None:
    network = cv2.dnn.readNetFromONNX(str(for_opencv))
    for batch in (patches, patches[:1]):
        network.setInput(cv2.dnn.blobFromImages([patch[..., ::-1] for patch in batch], swapRB=True))
        assert _cosine(network.forward(), embedder(batch)) >= MIN_COSINE
    network.setInput(cv2.dnn.blobFromImages(list(patches), swapRB=True))  # red and blue the wrong way round
    assert _cosine(network.forward(), embedder(patches)) < MIN_COSINE


def test_our_own_verbs_take_the_file_back(for_opencv: Path, embedder: Embedder, patches: np.ndarray) -> None:
    assert _cosine(load_embedder(str(for_opencv))(patches), embedder(patches)) >= MIN_COSINE
    card = (for_opencv.parent / "MODEL_CARD.md").read_text()
    assert "`embedder-opencv.onnx`: resnet18, RGB patches of 48 x 48 pixels (float32 RGB (B, 3, S, S)" in card
    assert len(list(for_opencv.parent.iterdir())) == 2


@pytest.mark.parametrize("target", get_args(Target))
def test_the_graph_takes_what_each_project_feeds(target: Target, embedder: Embedder, patches: np.ndarray) -> None:
    pixels = torch.from_numpy(patches).permute(0, 3, 1, 2).float()
    mean, std = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    fed = {
        "boxmot": (pixels / 255 - mean.view(3, 1, 1)) / std.view(3, 1, 1),
        "ultralytics": pixels / 255,
        "opencv": pixels,
    }
    with torch.inference_mode():
        features = export_module(embedder, target)(fed[target]).numpy()
    assert _cosine(features, embedder(patches)) >= MIN_COSINE


def test_boxmot_gives_the_same_features(
    embedder: Embedder, image: np.ndarray, patches: np.ndarray, tmp_path: Path
) -> None:
    if not _BOXMOT.is_file():
        pytest.skip(f"{_BOXMOT}: BoxMOT's Python is not there; `make bench-track` installs it, or name it SSAT_BOXMOT")
    np.savez(tmp_path / "given.npz", image=image[..., ::-1], boxes=_BOXES)
    script = (
        "import sys, numpy as np; from boxmot.reid.core.runtime import ReID\n"
        "given = np.load(sys.argv[2]); reid = ReID(sys.argv[1], device='cpu')\n"
        "np.save(sys.argv[3], reid.get_backend().get_features(given['boxes'], np.ascontiguousarray(given['image'])))"
    )
    graph, _ = export_for(embedder, "boxmot", tmp_path, patches)
    paths = [str(graph), str(tmp_path / "given.npz"), str(tmp_path / "features.npy")]
    done = subprocess.run([str(_BOXMOT), "-c", script, *paths], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert _cosine(np.load(tmp_path / "features.npy"), embedder(patches)) >= MIN_COSINE


def test_ultralytics_gives_the_same_features(embedder: Embedder, patches: np.ndarray, tmp_path: Path) -> None:
    reid = pytest.importorskip("ultralytics.trackers.utils.reid", reason="ultralytics is not installed")
    graph, _ = export_for(embedder, "ultralytics", tmp_path, patches)
    encoder = reid.ReID(str(graph), device="cpu")
    # Its crops are 1.02 times the box and 10 pixels larger, which is not compared here.
    batch = encoder._crops_to_tensor([np.ascontiguousarray(patch[..., ::-1]) for patch in patches])
    assert _cosine(encoder.model(batch).cpu().numpy(), embedder(patches)) >= MIN_COSINE


def test_what_is_no_resnet_is_refused(tmp_path: Path) -> None:
    histogram = Embedder(HistogramNetwork(), 32, {})
    with pytest.raises(InputError, match="setting `for`, opencv: the embedder is a histogram"):
        export_for(histogram, "opencv", tmp_path, np.zeros((1, 32, 32, 3), np.uint8))
    assert not list(tmp_path.iterdir())
