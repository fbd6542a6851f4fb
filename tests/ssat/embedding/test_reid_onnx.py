from pathlib import Path

import numpy as np
import pytest

from ssat.embedding.reid_input import PatchFormat, ReidInput
from ssat.embedding.reid_onnx import INPUT_KEY, ReidOnnxEmbedder
from ssat.errors import InputError

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")
from onnx import TensorProto, helper  # noqa: E402


def network(
    path: Path,
    shape: list[object],
    kind: int = TensorProto.FLOAT,
    axes: tuple[int, ...] = (2, 3),
    metadata: dict[str, str] | None = None,
    output: list[object] | None = None,
) -> Path:
    """A graph whose feature is the mean of each channel of its input."""
    nodes = []
    source = "images"
    if kind != TensorProto.FLOAT:
        nodes.append(helper.make_node("Cast", ["images"], ["floats"], to=TensorProto.FLOAT))
        source = "floats"
    keep = output is not None and len(output) == 4
    nodes.append(helper.make_node("ReduceMean", [source], ["feature"], axes=list(axes), keepdims=int(keep)))
    graph = helper.make_graph(
        nodes,
        "reid",
        [helper.make_tensor_value_info("images", kind, shape)],
        [helper.make_tensor_value_info("feature", TensorProto.FLOAT, output or [shape[0], 3])],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    for key, value in (metadata or {}).items():
        model.metadata_props.add(key=key, value=value)
    onnx.save(model, path)
    return path


def expected(colour: tuple[int, int, int], given: PatchFormat) -> np.ndarray:
    pixel = np.array(colour if given.channels == "rgb" else colour[::-1]) / 255
    raw = (pixel - given.mean) / given.std
    return raw / np.linalg.norm(raw)


COLOUR = (200, 100, 30)


def patches(height: int, width: int, n: int = 3) -> np.ndarray:
    return np.full((n, height, width, 3), COLOUR, np.uint8)


def test_float_layout_with_open_size(tmp_path: Path) -> None:
    embedder = ReidOnnxEmbedder(network(tmp_path / "reid.onnx", ["b", 3, "h", "w"]))
    assert embedder.input_size == (256, 128)
    np.testing.assert_allclose(embedder(patches(256, 128)), [expected(COLOUR, PatchFormat())] * 3, atol=1e-5)


def test_size_of_the_file_and_normalisation_of_its_metadata(tmp_path: Path) -> None:
    given = ReidInput(mean=(0.5, 0.4, 0.3), std=(0.5, 0.25, 0.2), channels="bgr")
    path = network(tmp_path / "reid.onnx", ["b", 3, 64, 32], metadata={INPUT_KEY: given.model_dump_json()})
    embedder = ReidOnnxEmbedder(path)
    assert embedder.input_size == (64, 32)
    np.testing.assert_allclose(embedder(patches(64, 32, 1)), [expected(COLOUR, given.over(PatchFormat()))], atol=1e-5)
    other = ReidOnnxEmbedder(path, ReidInput(channels="rgb"))
    assert other.digest != embedder.digest
    rgb = PatchFormat(mean=(0.5, 0.4, 0.3), std=(0.5, 0.25, 0.2))  # the rest is the file's
    np.testing.assert_allclose(other(patches(64, 32, 1)), [expected(COLOUR, rgb)], atol=1e-5)


def test_uint8_layout_gets_the_pixels(tmp_path: Path) -> None:
    path = network(tmp_path / "reid.onnx", ["b", 48, 24, 3], TensorProto.UINT8, axes=(1, 2))
    unit = np.array(COLOUR) / np.linalg.norm(COLOUR)
    np.testing.assert_allclose(ReidOnnxEmbedder(path)(patches(48, 24)), [unit] * 3, atol=1e-5)


def test_a_fixed_batch_is_filled(tmp_path: Path) -> None:
    path = network(tmp_path / "reid.onnx", [4, 3, 32, 16], output=[4, 3, 1, 1])
    features = ReidOnnxEmbedder(path)(patches(32, 16, 6))
    np.testing.assert_allclose(features, [expected(COLOUR, PatchFormat())] * 6, atol=1e-5)


@pytest.mark.parametrize(
    ("shape", "kind"),
    [(["b", 1, 32, 16], TensorProto.FLOAT), (["b", 32, 16, 3], TensorProto.FLOAT), (["b", 3, 32], TensorProto.FLOAT)],
)
def test_an_unknown_layout_is_refused_with_the_known_ones(tmp_path: Path, shape: list[object], kind: int) -> None:
    axes = (2, 3) if len(shape) == 4 else (2,)
    with pytest.raises(InputError, match=r"unknown layout.*images: tensor\(float\).*expected one input"):
        ReidOnnxEmbedder(network(tmp_path / "reid.onnx", shape, kind, axes, output=["b", shape[1]]))


def test_files_that_cannot_be_used(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file"):
        ReidOnnxEmbedder(tmp_path / "missing.onnx")
    broken = tmp_path / "broken.onnx"
    broken.write_bytes(b"not a graph")
    with pytest.raises(InputError, match="not a readable ONNX graph"):
        ReidOnnxEmbedder(broken)
    odd = network(tmp_path / "odd.onnx", ["b", 3, 64, 32], metadata={INPUT_KEY: '{"mean": 3}'})
    with pytest.raises(InputError, match=r"metadata reid\.input"):
        ReidOnnxEmbedder(odd)
    with pytest.raises(InputError, match="uint8 of shape"):
        ReidOnnxEmbedder(network(tmp_path / "reid.onnx", ["b", 3, 64, 32]))(patches(32, 32))
