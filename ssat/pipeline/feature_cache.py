"""Cache of the features of a sequence's detections, by the digest of their inputs."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import safetensors
from numpy.typing import NDArray
from safetensors.numpy import save_file

from ssat.embedding.protocol import PatchEmbedder
from ssat.mot.rows import MotRows
from ssat.mot.sequence import MotSequence
from ssat.pipeline.appearance import KnownFeatures
from ssat.pipeline.inputs import TrackInput
from ssat.pipeline.stage_seconds import StageSeconds
from ssat.video.image_files import image_digest
from ssat.video.sources import FrameSource, ImageSource, VideoSource
from ssat.workspace import committed, sha256_of

# Part of the key: raise it when patches are cut or stored in another way.
_VERSION = 1


@dataclass(frozen=True)
class CachedFeatures:
    """Features (n, F), a row per detection, and the time of their computation."""

    features: NDArray[np.float32]
    seconds: StageSeconds


def images_digest(paths: list[Path]) -> str:
    """Return SHA-256 over the content of the frames, in order."""
    digest = hashlib.sha256()
    for path in paths:
        digest.update(bytes.fromhex(image_digest(path)))
    return digest.hexdigest()


def frames_digest(sequence: MotSequence, frames: Iterable[int]) -> str:
    """SHA-256 over the content of the frames of a sequence, in order."""
    digest = hashlib.sha256()
    for frame in frames:
        digest.update(bytes.fromhex(sequence.frame_digest(frame)))
    return digest.hexdigest()


def source_digest(source: FrameSource | None) -> str | None:
    """Return a digest of the content of images or of a video file; None of a stream, which has none beforehand."""
    if isinstance(source, ImageSource):
        return images_digest(list(source.paths))
    if isinstance(source, VideoSource):
        return hashlib.sha256(f"video {sha256_of(source.path)}".encode()).hexdigest()
    return None


def rows_digest(rows: MotRows) -> str:
    """Return SHA-256 over frames, boxes and scores."""
    digest = hashlib.sha256()
    for column in (rows.frames, rows.boxes, rows.scores):
        digest.update(np.ascontiguousarray(column).tobytes())
    return digest.hexdigest()


def feature_key(embedder_digest: str, input_size: int | tuple[int, int], images: str, detections: MotRows) -> str:
    """Return the content key: the embedder, its input size, the frames and the boxes."""
    # Scores do not change a feature: another threshold that keeps the same boxes finds them again.
    boxes = hashlib.sha256(detections.frames.tobytes() + detections.boxes.tobytes()).hexdigest()
    return hashlib.sha256(json.dumps([_VERSION, embedder_digest, input_size, images, boxes]).encode()).hexdigest()


def load_features(folder: Path, key: str, n_detections: int) -> CachedFeatures | None:
    """Return the features stored under `key`; None if there are none or the file is damaged."""
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
    """Store features, whole or not at all."""
    path = _path(folder, key)
    with committed(path) as temporary:
        save_file({"features": np.ascontiguousarray(features)}, temporary, {"seconds": json.dumps(asdict(seconds))})
    return path


@dataclass(frozen=True)
class FeatureCache:
    """The features of one input and one embedder.

    Attributes:
        known: what was kept before; None: nothing.
    """

    folder: Path
    key: str
    known: KnownFeatures | None

    @classmethod
    def of(
        cls, opened: TrackInput, embedder: PatchEmbedder | None, folder: Path, embed_every: int = 1
    ) -> FeatureCache | None:
        """Look up the features of `opened`; None without an embedder or detections of a file, and of a stream.

        Args:
            embed_every: as in `FeatureReuse`; features that were taken over are not those of every patch.
        """
        if embedder is None or opened.detections is None:
            return None
        content = source_digest(opened.source)
        if content is None:
            return None
        digest = embedder.digest if embed_every == 1 else f"{embedder.digest} every {embed_every}"
        key = feature_key(digest, embedder.input_size, content, opened.detections)
        cached = load_features(folder, key, len(opened.detections))
        return cls(folder, key, None if cached is None else KnownFeatures(cached.features))

    def store(self, features: NDArray[np.float32], seconds: StageSeconds) -> None:
        """Keep features (n, F) that were computed now, a row per detection."""
        store_features(self.folder, self.key, features, seconds)


def _path(folder: Path, key: str) -> Path:
    return folder / key[:2] / f"{key}.safetensors"
