"""The learned colour histogram: what it learns from, what it gives, and its file."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from ssat.embedding.colour_learning import held_out_score, learn_colours
from ssat.embedding.embedder import Embedder
from ssat.embedding.export import export_embedder, model_card
from ssat.embedding.histogram import HistogramNetwork, colour_channels, pooled
from ssat.errors import InputError
from ssat.patches.clips import PatchTable, joined
from ssat.patches.settings import ColoursSettings

pytestmark = pytest.mark.slow

_PATCHES, _BOXES = 120, 3


def _table(seed: int, patches: int = _PATCHES) -> PatchTable:
    """Patches of two colours each, one above the other; the blue channel changes from box to box and tells nothing."""
    rng = np.random.default_rng(seed)
    colours = rng.integers(30, 220, (patches, 2, 3))
    cuts = np.zeros((patches, _BOXES, 160, 80, 3), np.uint8)
    cuts[:, :, :80] = colours[:, None, None, None, 0]
    cuts[:, :, 80:] = colours[:, None, None, None, 1]
    cuts[..., 2] = rng.integers(0, 256, (patches, _BOXES, 1, 1))
    n = patches * _BOXES
    patch = np.arange(patches).repeat(_BOXES)
    return PatchTable(
        patch, patch // 10, np.arange(n) % _BOXES, np.zeros((n, 4)), np.zeros(n), cuts.reshape(n, 160, 80, 3)
    )


@pytest.fixture(scope="module")
def network() -> HistogramNetwork:
    return learn_colours(_table(0), ColoursSettings())


def test_learning_takes_out_what_changes_from_view_to_view(network: HistogramNetwork) -> None:
    other = _table(1)
    learned = held_out_score(Embedder(network, 128), other)
    unwhitened = HistogramNetwork().eval()
    unwhitened.load_state_dict(network.state_dict() | {"whitening": torch.eye(512)})
    assert learned.pairs == _PATCHES
    assert learned.auc > held_out_score(Embedder(unwhitened, 128), other).auc + 0.02
    assert learned.auc > 0.8


def test_the_same_patches_and_seed_give_the_same_weights(network: HistogramNetwork) -> None:
    again = learn_colours(_table(0), ColoursSettings())
    other = learn_colours(_table(0), ColoursSettings(seed=1))
    for name, tensor in network.state_dict().items():
        torch.testing.assert_close(again.state_dict()[name], tensor, rtol=0, atol=0)
    assert not torch.equal(other.cells.weight, network.cells.weight)


def test_too_few_patches_are_refused() -> None:
    with pytest.raises(InputError, match="20 patches could be followed, expected at least 32"):
        learn_colours(_table(0, patches=20), ColoursSettings())
    with pytest.raises(InputError, match="0 patches could be followed, expected at least 32"):
        learn_colours(joined([]), ColoursSettings())


def test_a_pixel_belongs_to_the_nearest_cell(network: HistogramNetwork) -> None:
    """The convolution and softmax are a soft assignment by squared distance: sharpest where a cell's own colour is."""
    centres = network.cells.weight[:, :, 0, 0] / 40
    belongs = (network.cells.weight[:, :, 0, 0] @ centres[5] + network.cells.bias).softmax(0)
    expected = (-20 * ((centres - centres[5]) ** 2).sum(dim=1)).softmax(0)
    torch.testing.assert_close(belongs, expected, rtol=1e-3, atol=1e-5)


def test_channels_of_a_known_colour() -> None:
    images = torch.full((1, 128, 64, 3), 0, dtype=torch.uint8)
    images[..., 0] = 255
    channels = colour_channels(pooled(images))
    assert channels.shape == (1, 6, 64, 32)
    light = 1 / 3
    expected = [0.55 / 0.25, -0.45 / 0.25, -0.45 / 0.25, (np.log(light + 0.05) + 1) / 0.7, 1 / (light + 0.1) / 0.4]
    assert channels[0, :5, 7, 7].tolist() == pytest.approx(expected, rel=1e-5)


def test_its_file_gives_the_same_features_and_its_card_says_what_it_is(
    network: HistogramNetwork, tmp_path: Path
) -> None:
    embedder = Embedder(network, 128, {"settings": {"seed": 0}, "patches": 120, "clips": 12, "held_out": {"auc": 0.9}})
    embedder.save(tmp_path / "embedder.safetensors")
    loaded = Embedder.load(tmp_path / "embedder.safetensors")
    patches = np.random.default_rng(0).integers(0, 256, (5, 128, 128, 3), dtype=np.uint8)
    np.testing.assert_array_equal(loaded(patches), embedder(patches))
    np.testing.assert_allclose(np.linalg.norm(loaded(patches), axis=1), 1, rtol=1e-5)
    assert loaded.digest == embedder.digest
    card = model_card(loaded, "embedder.safetensors")
    assert "120 patches of 12 clips" in card
    assert "CosFace" not in card


def test_it_is_exported_with_the_same_features(network: HistogramNetwork, tmp_path: Path) -> None:
    patches = _table(2).cuts[:6]
    square = np.ascontiguousarray(patches[:, 16:144].repeat(2, axis=2)[:, :, 16:144])
    embedder = Embedder(network, 128)
    graph, card = export_embedder(embedder, "onnx", tmp_path, square)
    cosine = (Embedder.load(graph)(square) * embedder(square)).sum(axis=1)
    assert cosine.min() >= 0.9999
    assert card.is_file()


def test_a_table_of_one_start_only_has_no_others_to_compare_with() -> None:
    table = _table(3, patches=4)
    alone = replace(table, start=np.arange(len(table)))
    assert np.isnan(held_out_score(Embedder(HistogramNetwork(), 128), alone).auc)
