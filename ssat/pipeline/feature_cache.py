"""Features of a sequence's detections, kept by what they were computed from."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import safetensors
from numpy.typing import NDArray
from safetensors.numpy import save_file

from ssat.mot.rows import MotRows
from ssat.pipeline.frames import StageSeconds
from ssat.workspace import committed, sha256_of

# Part of the key: raise it when patches are cut or stored in another way.
_VERSION = 1


@dataclass(frozen=True)
class CachedFeatures:
    """Features (n, F), a row per detection, and how long they took when they were computed."""

    features: NDArray[np.float32]
    seconds: StageSeconds


def images_digest(paths: list[Path]) -> str:
    """SHA-256 over the content of the frames, in order."""
    digest = hashlib.sha256()
    for path in paths:
        digest.update(bytes.fromhex(sha256_of(path)))
    return digest.hexdigest()


def rows_digest(rows: MotRows) -> str:
    """SHA-256 over frames, boxes and scores."""
    digest = hashlib.sha256()
    for column in (rows.frames, rows.boxes, rows.scores):
        digest.update(np.ascontiguousarray(column).tobytes())
    return digest.hexdigest()


def feature_key(embedder_digest: str, input_size: int | tuple[int, int], images: str, detections: MotRows) -> str:
    """The content key: the embedder, its input size, the frames and the boxes."""
    # Scores do not change a feature: another threshold that keeps the same boxes finds them again.
    boxes = hashlib.sha256(detections.frames.tobytes() + detections.boxes.tobytes()).hexdigest()
    return hashlib.sha256(json.dumps([_VERSION, embedder_digest, input_size, images, boxes]).encode()).hexdigest()


def load_features(folder: Path, key: str, n_detections: int) -> CachedFeatures | None:
    """What was stored under `key`; None where nothing was, or where the file is damaged."""
    path = _path(folder, key)
    try:
        with safetensors.safe_open(path, framework="numpy") as file:
            features = file.get_tensor("features")
            seconds = StageSeconds(**json.loads((file.metadata() or {})["seconds"]))
    except (OSError, safetensors.SafetensorError, KeyError, ValueError, TypeError):
        return None
    if features.ndim != 2 or len(features) != n_detections or features.dtype != np.float32:
        return None
    return CachedFeatures(features, seconds)


def store_features(folder: Path, key: str, features: NDArray[np.float32], seconds: StageSeconds) -> Path:
    """Stores features, whole or not at all."""
    path = _path(folder, key)
    with committed(path) as temporary:
        save_file({"features": np.ascontiguousarray(features)}, temporary, {"seconds": json.dumps(asdict(seconds))})
    return path


def _path(folder: Path, key: str) -> Path:
    return folder / key[:2] / f"{key}.safetensors"
