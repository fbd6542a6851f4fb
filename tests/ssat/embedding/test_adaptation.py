import numpy as np
import pytest
import torch

from ssat.embedding.adaptation import adapted_colours, adapted_network, views_of_each
from ssat.embedding.network import EmbeddingNetwork
from ssat.errors import InputError
from ssat.patches.clips import CUT_HEIGHT, CUT_WIDTH, PatchTable

pytestmark = pytest.mark.slow


def table(patches: int, boxes: int = 4) -> PatchTable:
    """Patches of one colour each, seen in the same frames."""
    rng = np.random.default_rng(0)
    colours = rng.integers(0, 256, (patches, 1, 1, 3))
    noise = rng.integers(-20, 20, (patches * boxes, CUT_HEIGHT, CUT_WIDTH, 3))
    cuts = np.clip(colours.repeat(boxes, axis=0) + noise, 0, 255).astype(np.uint8)
    n = patches * boxes
    number = np.arange(patches).repeat(boxes)
    return PatchTable(number, np.zeros(n, np.int64), np.arange(n), np.zeros((n, 4)), np.zeros(n), cuts)


def test_a_network_is_copied_and_gives_features_around_the_mean_of_this_camera() -> None:
    torch.manual_seed(0)
    network = EmbeddingNetwork("resnet18").eval()
    before = network.backbone.fc.weight.clone()
    advanced: list[int] = []
    adapted = adapted_network(network, 32, table(8), 96, 0.5, 0, advanced.append)
    assert torch.equal(network.backbone.fc.weight, before)
    assert sum(advanced) == 8 * views_of_each(table(8), 96) == 96
    again = adapted_network(network, 32, table(8), 96, 0.5, 0)
    assert torch.equal(adapted.backbone.fc.weight, again.backbone.fc.weight)
    images = torch.from_numpy(table(8).cuts[:, ::5, ::5][:, :32, :16].repeat(2, axis=2).copy())
    with torch.inference_mode():
        raw, changed = network(images), adapted.eval()(images)
    # The mean of such images was far from 0 and is near it now, seen against how far the features spread.
    assert changed.mean(0).norm() / changed.std(0).norm() < 0.5 * raw.mean(0).norm() / raw.std(0).norm()


def test_colours_of_few_people_are_learned() -> None:
    network = adapted_colours(table(8), 100, 0.8, 0)
    assert torch.isfinite(network.whitening).all()


def test_too_few_tracklets_are_an_error() -> None:
    with pytest.raises(InputError, match="7 tracklets of 5 boxes or more, expected at least 8"):
        adapted_colours(table(7), 100, 0.8, 0)
