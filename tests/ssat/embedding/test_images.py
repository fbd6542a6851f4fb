from pathlib import Path

import cv2
import numpy as np
import pyarrow.parquet as pq
import pytest

from ssat.embedding.embedder import Embedder
from ssat.embedding.images import embed_images, write_features
from ssat.errors import InputError


@pytest.fixture(scope="module")
def embedder() -> Embedder:
    return Embedder.untrained("resnet18", 32)


def picture(path: Path, seed: int) -> Path:
    image = np.random.default_rng(seed).integers(0, 256, (80, 40, 3), dtype=np.uint8)
    cv2.imwrite(str(path), image)
    return path


def test_images_become_features_in_their_order(embedder: Embedder, tmp_path: Path) -> None:
    paths = [picture(tmp_path / f"{seed}.png", seed) for seed in (1, 2, 3)]
    features = embed_images(embedder, paths, batch_size=2)
    np.testing.assert_allclose(embed_images(embedder, paths[2:]), features[2:], atol=1e-5)
    np.testing.assert_allclose(np.linalg.norm(features, axis=1), 1, atol=1e-5)
    target = tmp_path / "features.parquet"
    write_features(target, paths, features)
    table = pq.read_table(target)
    assert table["path"].to_pylist() == [str(path) for path in paths]
    np.testing.assert_array_equal(np.array(table["feature"].to_pylist(), np.float32), features)


def test_colours_are_not_swapped(embedder: Embedder, tmp_path: Path) -> None:
    red = np.zeros((32, 32, 3), np.uint8)
    red[..., 0] = 255
    cv2.imwrite(str(tmp_path / "red.png"), red[..., ::-1])
    np.testing.assert_allclose(embed_images(embedder, [tmp_path / "red.png"]), embedder(red[None]), atol=1e-5)


@pytest.mark.parametrize("content", [None, b"", b"no image"])
def test_what_is_no_image_is_named(content: bytes | None, embedder: Embedder, tmp_path: Path) -> None:
    path = tmp_path / "person.jpg"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(InputError, match=r"person\.jpg: (cannot be read|broken JPEG)"):
        embed_images(embedder, [path])
