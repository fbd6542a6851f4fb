from pathlib import Path

import numpy as np
import onnxruntime
import pytest

from ssat.embedding.embedder import Embedder
from ssat.embedding.export import export_embedder
from ssat.errors import InputError


@pytest.fixture(scope="module")
def embedder() -> Embedder:
    made = Embedder.untrained("resnet18", 48, seed=2)
    made.facts = {"settings": {"epochs": 3}, "classes": 9, "held_out": {"recall_at_1": 0.75}, "data_digest": "d" * 64}
    return made


@pytest.fixture(scope="module")
def patches() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (5, 48, 48, 3), dtype=np.uint8)


def test_onnx_gives_the_same_features_for_any_batch(embedder: Embedder, patches: np.ndarray, tmp_path: Path) -> None:
    graph, card = export_embedder(embedder, "onnx", tmp_path, patches)
    assert sorted(path.name for path in tmp_path.iterdir()) == [card.name, graph.name]  # no weights beside the graph
    session = onnxruntime.InferenceSession(str(graph), providers=["CPUExecutionProvider"])
    for batch in (patches, patches[:1], np.concatenate([patches] * 3)):
        (features,) = session.run(["features"], {"patches": batch})
        np.testing.assert_allclose(features, embedder(batch), atol=1e-4)
    text = card.read_text()
    for part in ("resnet18", "48 x 48", "9 clips", "| recall_at_1 | 0.7500 |", "| epochs | 3 |", "least cosine"):
        assert part in text


def test_safetensors_can_be_loaded_again(embedder: Embedder, patches: np.ndarray, tmp_path: Path) -> None:
    file, _ = export_embedder(embedder, "safetensors", tmp_path, patches)
    assert Embedder.load(file).digest == embedder.digest


def test_a_graph_that_differs_is_not_kept(
    embedder: Embedder, patches: np.ndarray, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    constant = np.float32(512**-0.5)
    monkeypatch.setattr(Embedder, "__call__", lambda self, values: np.full((len(values), 512), constant))
    with pytest.raises(InputError, match=r"embedder\.onnx: onnxruntime's features differ from torch's"):
        export_embedder(embedder, "onnx", tmp_path, patches)
    assert not list(tmp_path.iterdir())
