import json
from pathlib import Path

import numpy as np
import pytest

from flows.cli import run
from ssat.embedding.embedder import Embedder
from ssat.workspace import Workspace


def test_an_embedder_is_exported_with_its_card(
    workspace: Workspace, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Embedder.untrained("resnet18", 32).save(tmp_path / "embedder.safetensors")
    target = tmp_path / "out"
    common = ["--workspace", str(workspace.root), "--run", str(tmp_path), "--output", str(target), "--json"]
    assert run(["export", "--format", "onnx", *common]) == 0
    answer = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert [Path(file).name for file in answer["files"]] == ["embedder.onnx", "MODEL_CARD.md"]
    patches = np.random.default_rng(0).integers(0, 256, (2, 32, 32, 3), dtype=np.uint8)
    expected = Embedder.load(tmp_path / "embedder.safetensors")(patches)
    np.testing.assert_allclose(Embedder.load(target / "embedder.onnx")(patches), expected, atol=1e-4)
    assert "least cosine 1.0" in (target / "MODEL_CARD.md").read_text()


def test_an_embedder_that_is_not_there_is_an_error(workspace: Workspace, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["export", "--workspace", str(workspace.root)]) == 2
    assert "no finished training; run `ssat train` first" in capsys.readouterr().err


def test_another_format_has_no_layout_for_others(workspace: Workspace, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["export", "--workspace", str(workspace.root), "--for", "opencv", "--format", "safetensors"]) == 2
    assert "--for opencv writes float32 ONNX; expected --format onnx, not safetensors" in capsys.readouterr().err
