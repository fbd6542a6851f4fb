import json
import pickle
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch

from ssat.embedding import Embedder
from ssat.errors import InputError


@pytest.fixture(scope="module")
def embedder() -> Embedder:
    return Embedder.untrained("resnet18", input_size=32)


@pytest.fixture(scope="module")
def patches() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (5, 32, 32, 3), dtype=np.uint8)


def test_features_are_unit_length_and_independent_of_the_batch(embedder: Embedder, patches: np.ndarray) -> None:
    features = embedder(patches)
    assert features.shape == (5, 512)
    assert features.dtype == np.float32
    assert np.linalg.norm(features, axis=1) == pytest.approx(1.0, abs=1e-5)
    assert embedder(patches, batch_size=2) == pytest.approx(features, abs=1e-5)
    assert embedder(patches[:0]).shape == (0, 512)


def test_normalisation_is_the_networks_own(embedder: Embedder) -> None:
    # ImageNet mean and deviation on 0 … 1: a patch of the mean colour enters the backbone as zeros.
    seen = []
    hook = embedder.network.backbone.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    embedder(np.full((1, 32, 32, 3), (124, 116, 104), np.uint8))
    hook.remove()
    assert seen[0].abs().max() < 0.02
    assert seen[0].shape == (1, 3, 32, 32)


def test_saved_and_loaded_is_the_same(embedder: Embedder, patches: np.ndarray, tmp_path: Path) -> None:
    embedder.save(tmp_path / "e.safetensors")
    loaded = Embedder.load(tmp_path / "e.safetensors")
    assert np.array_equal(loaded(patches), embedder(patches))
    assert loaded.input_size == 32
    assert loaded.digest == embedder.digest
    assert loaded.facts == {"untrained_seed": 0}
    assert [path.name for path in tmp_path.iterdir()] == ["e.safetensors"]


def test_bfloat16_is_close_and_has_a_digest_of_its_own(embedder: Embedder, patches: np.ndarray, tmp_path: Path) -> None:
    embedder.save(tmp_path / "e.safetensors")
    rough = Embedder.load(tmp_path / "e.safetensors", precision="bfloat16")
    features = rough(patches)
    assert features.dtype == np.float32
    assert 0.99 < (features * embedder(patches)).sum(1).min() < 1 - 1e-7
    assert rough.digest != embedder.digest
    assert Embedder.load(tmp_path / "e.safetensors", device="cpu").digest == embedder.digest


def test_a_gpu_is_refused_where_there_is_none(embedder: Embedder, tmp_path: Path) -> None:
    if torch.cuda.is_available():
        pytest.skip("this machine has a GPU")
    embedder.save(tmp_path / "e.safetensors")
    with pytest.raises(InputError, match="embedder device: cuda asked for, but no GPU is usable"):
        Embedder.load(tmp_path / "e.safetensors", device="cuda")


def test_untrained_depends_on_the_seed_alone(embedder: Embedder) -> None:
    torch.manual_seed(123)
    assert Embedder.untrained("resnet18", 32, seed=0).digest == embedder.digest
    assert Embedder.untrained("resnet18", 32, seed=1).digest != embedder.digest


def test_wrong_patches_are_refused(embedder: Embedder) -> None:
    with pytest.raises(InputError, match=r"shape \(2, 16, 16, 3\).*expected uint8 of shape \(B, 32, 32, 3\)"):
        embedder(np.zeros((2, 16, 16, 3), np.uint8))
    with pytest.raises(InputError, match="float32"):
        embedder(np.zeros((2, 32, 32, 3), np.float32))  # type: ignore[arg-type]


class Payload:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return (Path.touch, (Path("/tmp/should-not-exist"),))  # type: ignore[return-value]  # noqa: S108


@pytest.mark.parametrize("damage", ["missing", "pickle", "truncated", "text"])
def test_what_is_no_safetensors_file_is_refused(damage: str, embedder: Embedder, tmp_path: Path) -> None:
    path = tmp_path / "e.safetensors"
    if damage == "pickle":
        path.write_bytes(pickle.dumps(Payload()))
    elif damage == "truncated":
        embedder.save(path)
        path.write_bytes(path.read_bytes()[:-1000])
    elif damage == "text":
        path.write_text("not a model")
    with pytest.raises(InputError, match=r"e\.safetensors: not a readable safetensors file"):
        Embedder.load(path)
    assert not Path("/tmp/should-not-exist").exists()  # noqa: S108


def rewritten(embedder: Embedder, path: Path, metadata: dict[str, str], drop: str | None = None) -> Path:
    embedder.save(path)
    tensors = safetensors.torch.load_file(path)
    with safetensors.safe_open(path, "pt") as file:
        old = file.metadata()
    tensors = {name: tensor for name, tensor in tensors.items() if name != drop}
    safetensors.torch.save_file(tensors, path, {**old, **metadata})
    return path


@pytest.mark.parametrize(
    ("metadata", "drop", "message"),
    [
        ({"format": "other"}, None, "format 'other', expected"),
        ({"architecture": "vgg16"}, None, "unknown architecture 'vgg16'; known: resnet18"),
        ({"architecture": "resnet50"}, None, "tensors do not fit.*missing: .*of another shape: "),
        ({}, "backbone.fc.weight", r"missing: backbone\.fc\.weight"),
        ({"input_size": "many"}, None, "damaged metadata"),
        ({"input_size": "1000000"}, None, "input_size 1000000 is outside"),
        ({"facts": "{"}, None, "damaged metadata"),
    ],
)
def test_a_file_that_does_not_fit_is_refused_by_name(
    metadata: dict[str, str], drop: str | None, message: str, embedder: Embedder, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match=message):
        Embedder.load(rewritten(embedder, tmp_path / "e.safetensors", metadata, drop))


def test_facts_are_json(tmp_path: Path, embedder: Embedder) -> None:
    embedder.save(tmp_path / "e.safetensors")
    with safetensors.safe_open(tmp_path / "e.safetensors", "pt") as file:
        assert json.loads(file.metadata()["facts"]) == {"untrained_seed": 0}
