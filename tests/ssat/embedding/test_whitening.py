import numpy as np
import pytest
import torch

from ssat.embedding.network import EmbeddingNetwork
from ssat.embedding.whitening import whitened, whitening, within_class_whitening


def uneven(n: int) -> np.ndarray:
    """Features of 6 directions whose deviations lie between 10 and 0.1, turned, about a mean far from 0."""
    random = np.random.default_rng(0)
    turn, _ = np.linalg.qr(random.standard_normal((6, 6)))
    return (random.standard_normal((n, 6)) * [10, 5, 2, 1, 0.5, 0.1] @ turn + 30).astype(np.float32)


def test_features_spread_alike_in_all_directions_afterwards() -> None:
    features = uneven(500)
    map_DD, mean_D = whitening(features, 1e-9)
    covariance = np.cov((features - mean_D) @ map_DD, rowvar=False)
    np.testing.assert_allclose(covariance / covariance[0, 0], np.eye(6), atol=1e-3)
    assert np.trace(covariance) == pytest.approx(np.trace(np.cov(features, rowvar=False)), rel=1e-3)


def test_shrinkage_spares_the_directions_that_hardly_vary() -> None:
    features = uneven(500)
    spread = []
    for shrinkage in (1e-9, 0.03, 1e6):
        map_DD, mean_D = whitening(features, shrinkage)
        variance = np.linalg.eigvalsh(np.cov((features - mean_D) @ map_DD, rowvar=False))
        spread.append(variance[0] / variance[-1])
    assert spread[0] == pytest.approx(1, abs=1e-3)
    assert spread[0] > spread[1] > spread[2]
    assert spread[2] == pytest.approx((0.1 / 10) ** 2, rel=0.5)  # as before


def test_fewer_features_than_directions_are_no_trouble() -> None:
    map_DD, _ = whitening(uneven(3), 0.1)
    assert np.isfinite(map_DD).all()
    assert np.isfinite(whitening(np.ones((4, 6), np.float32), 0.1)[0]).all()


def test_the_map_becomes_part_of_the_network() -> None:
    torch.manual_seed(0)
    network = EmbeddingNetwork("resnet18").eval()
    images = torch.randint(0, 256, (24, 32, 32, 3), dtype=torch.uint8)
    with torch.no_grad():
        before = network(images).numpy()
        map_DD, mean_D = whitening(before, 0.1)
        after = whitened(network, map_DD, mean_D)(images).numpy()
        np.testing.assert_array_equal(network(images).numpy(), before)  # the trained one is left as it is
    expected = (before - mean_D) @ map_DD
    np.testing.assert_allclose(after, expected, atol=1e-4 * np.abs(expected).max())


def test_views_of_one_class_vary_alike_in_all_directions_afterwards() -> None:
    random = np.random.default_rng(1)
    classes = np.repeat(np.arange(200), 4)
    features = 20 * random.standard_normal((200, 6))[classes] + uneven(800)
    within = []
    for map_DD in (
        np.eye(6),
        within_class_whitening(features, classes, 1e-6),
        within_class_whitening(features, classes, 1.0),
    ):
        mapped = (features @ map_DD).reshape(200, 4, 6)
        variance = np.linalg.eigvalsh(
            np.cov((mapped - mapped.mean(axis=1, keepdims=True)).reshape(-1, 6), rowvar=False)
        )
        within.append(variance[-1] / variance[0])
    assert within[0] > 1000
    assert within[1] == pytest.approx(1, abs=0.01)
    assert within[2] == pytest.approx(within[0]), "all directions are taken as equal: nothing changes"
