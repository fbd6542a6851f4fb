"""Features of image files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from ssat.embedding.patches import crop_patches
from ssat.embedding.protocol import PatchEmbedder, patch_shape
from ssat.video.image_files import read_image
from ssat.workspace import committed


def embed_images(embedder: PatchEmbedder, paths: Sequence[Path], batch_size: int = 64) -> NDArray[np.float32]:
    """Return features (n, F) of whole images, each resized to the embedder's patch as the tracker resizes a detection.

    Raises:
        InputError: a file that is missing or no image.
    """
    starts = range(0, len(paths), batch_size)
    batches = (np.stack([_patch(path, embedder) for path in paths[start : start + batch_size]]) for start in starts)
    return np.concatenate([embedder(batch) for batch in batches])


def write_features(target: Path, paths: Sequence[Path], features: NDArray[np.float32]) -> None:
    """Write a Parquet file with the columns path (string) and feature (a list of float32 of fixed length)."""
    column = pa.FixedSizeListArray.from_arrays(pa.array(features.reshape(-1)), features.shape[1])
    table = pa.table({"path": [str(path) for path in paths], "feature": column})
    with committed(target) as temporary:
        pq.write_table(table, temporary)


def _patch(path: Path, embedder: PatchEmbedder) -> NDArray[np.uint8]:
    image = read_image(path)
    height, width = image.shape[:2]
    patches, _ = crop_patches(image, np.array([[0.0, 0.0, width, height]]), patch_shape(embedder))
    patch: NDArray[np.uint8] = patches[0]
    return patch
