import json
from pathlib import Path

import cv2
import numpy as np
import pyarrow.parquet as pq
import pytest

from flows.cli import run
from ssat.embedding.embedder import Embedder
from ssat.workspace import Workspace


@pytest.fixture
def images(tmp_path: Path) -> list[str]:
    random = np.random.default_rng(0)
    paths = [str(tmp_path / f"{name}.png") for name in "ab"]
    for path in paths:
        cv2.imwrite(path, random.integers(0, 256, (60, 30, 3), dtype=np.uint8))
    return paths


def test_features_of_images_are_shown_and_kept(
    images: list[str], workspace: Workspace, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Embedder.untrained("resnet18", 32).save(tmp_path / "embedder.safetensors")
    common = ["--workspace", str(workspace.root), "--embedder", str(tmp_path)]
    assert run(["embed", *images, *common]) == 0
    assert "1.00" in capsys.readouterr().out
    target = tmp_path / "features.parquet"
    assert run(["embed", *images, *common, "--output", str(target), "--json"]) == 0
    rows = json.loads(capsys.readouterr().out.splitlines()[-1])["features"]
    assert [row["image"] for row in rows] == images
    np.testing.assert_allclose(rows[0]["feature"], pq.read_table(target)["feature"][0].as_py(), atol=1e-6)


def test_a_missing_image_is_named(workspace: Workspace, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["embed", "nobody.jpg", "--workspace", str(workspace.root), "--embedder", "untrained"]) == 2
    assert "nobody.jpg: no such file; expected an image" in capsys.readouterr().err
