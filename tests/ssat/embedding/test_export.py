from collections import Counter
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest

from ssat.embedding.embedder import Embedder
from ssat.embedding.export import export_embedder
from ssat.embedding.onnx_embedder import OnnxEmbedder
from ssat.errors import InputError

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def embedder() -> Embedder:
    made = Embedder.untrained("resnet18", 48, seed=2)
    made.facts = {
        "settings": {"epochs": 3},
        "classes": 9,
        "held_out": {"recall_at_1": 0.75},
        "probe": {"auc": 0.934, "auc_low": 0.91, "auc_high": 0.95},
        "data_digest": "d" * 64,
    }
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
    for part in (
        "resnet18",
        "48 x 48",
        "9 clips",
        "| recall_at_1 | 0.7500 |",
        "| epochs | 3 |",
        "AUC 0.9340 (95 %",
        "least cosine",
    ):
        assert part in text


def test_int8_is_close_and_loads_like_any_embedder(embedder: Embedder, patches: np.ndarray, tmp_path: Path) -> None:
    graph, card = export_embedder(embedder, "onnx-int8", tmp_path, patches)
    assert sorted(path.name for path in tmp_path.iterdir()) == [card.name, graph.name]
    loaded = Embedder.load(graph)
    assert (loaded.input_size, loaded.facts) == (48, embedder.facts)
    features = loaded(np.concatenate([patches] * 2), batch_size=3)
    np.testing.assert_allclose(np.linalg.norm(features, axis=1), 1, atol=1e-5)
    assert (features[:5] * embedder(patches)).sum(1).min() >= 0.99
    weights = onnx.load(graph).graph.initializer
    kinds = Counter[int]()
    for weight in weights:
        kinds[weight.data_type] += int(np.prod(weight.dims))
    assert kinds[onnx.TensorProto.INT8] > 0.99 * sum(kinds.values()), "nearly all weights have 8 bits"
    with pytest.raises(InputError, match="patches are float64"):
        loaded(patches.astype(np.float64))
    with pytest.raises(InputError, match="holds no torch network"):
        loaded.save(tmp_path / "again.safetensors")
    if "CUDAExecutionProvider" not in onnxruntime.get_available_providers():
        with pytest.raises(InputError, match="device cuda asked for, but this onnxruntime has none"):
            Embedder.load(graph, device="cuda")


@pytest.mark.parametrize("content", [None, b"", b"no graph"])
def test_what_is_no_graph_is_named(content: bytes | None, tmp_path: Path) -> None:
    path = tmp_path / "embedder.onnx"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(InputError, match=r"embedder\.onnx: (no such file|not a readable ONNX graph)"):
        Embedder.load(path)


def test_a_graph_of_something_else_is_named(tmp_path: Path) -> None:
    from onnx import TensorProto, helper, save

    values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1]) for name in ("x", "y")]
    graph = helper.make_graph([helper.make_node("Neg", ["x"], ["y"])], "g", values[:1], values[1:])
    save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10), tmp_path / "g.onnx")
    with pytest.raises(InputError, match=r"g\.onnx: not an embedder: expected patches"):
        Embedder.load(tmp_path / "g.onnx")


def test_safetensors_can_be_loaded_again(embedder: Embedder, patches: np.ndarray, tmp_path: Path) -> None:
    file, _ = export_embedder(embedder, "safetensors", tmp_path, patches)
    assert Embedder.load(file).digest == embedder.digest


def test_a_graph_that_differs_is_not_kept(
    embedder: Embedder, patches: np.ndarray, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    constant = np.float32(512**-0.5)
    monkeypatch.setattr(OnnxEmbedder, "__call__", lambda self, values: np.full((len(values), 512), constant))
    with pytest.raises(InputError, match=r"embedder\.onnx: onnxruntime's features differ from torch's"):
        export_embedder(embedder, "onnx", tmp_path, patches)
    assert not list(tmp_path.iterdir())
