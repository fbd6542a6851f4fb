import numpy as np
import pytest

from ssat.embedding.colour import ColourEmbedder
from ssat.embedding.combined import CombinedEmbedder
from ssat.errors import InputError

RED, BLUE = (200, 20, 20), (20, 20, 200)


def person(upper: tuple[int, int, int], lower: tuple[int, int, int], size: int = 64) -> np.ndarray:
    patch = np.empty((size, size, 3), np.uint8)
    patch[: size // 2], patch[size // 2 :] = upper, lower
    return patch


def test_clothes_in_another_order_are_another_person() -> None:
    features = ColourEmbedder()(np.stack([person(RED, BLUE), person(RED, BLUE), person(BLUE, RED), person(RED, RED)]))
    assert features.shape == (4, 512)
    assert features.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(features, axis=1), 1, atol=1e-6)
    # Four stripes of one colour each: the cosine is the share of stripes that agree.
    np.testing.assert_allclose(features @ features[0], [1, 1, 0, 0.5], atol=1e-6)


def test_stripes_of_a_height_that_four_does_not_divide() -> None:
    np.testing.assert_allclose(np.linalg.norm(ColourEmbedder(30)(person(RED, BLUE, 30)[None]), axis=1), 1, atol=1e-6)


def test_brightest_and_last_hue_have_a_bin() -> None:
    patches = np.stack([np.full((64, 64, 3), 255, np.uint8), np.full((64, 64, 3), (255, 0, 4), np.uint8)])
    np.testing.assert_allclose(np.linalg.norm(ColourEmbedder()(patches), axis=1), 1, atol=1e-6)


def test_the_corners_of_a_box_do_not_count() -> None:
    clean, cluttered = person(RED, RED), person(RED, RED)
    cluttered[:8, :8] = cluttered[-8:, -8:] = BLUE
    features = ColourEmbedder()(np.stack([clean, cluttered]))
    np.testing.assert_allclose(features[0] @ features[1], 1, atol=1e-6)


def test_patches_that_do_not_fit() -> None:
    with pytest.raises(InputError, match="uint8 of shape"):
        ColourEmbedder()(np.zeros((1, 32, 32, 3), np.uint8))
    with pytest.raises(InputError, match="float32"):
        ColourEmbedder()(np.zeros((1, 64, 64, 3), np.float32))


def test_a_combination_averages_cosines() -> None:
    patches = np.stack([person(RED, BLUE), person(RED, RED)])
    small, large = ColourEmbedder(32), ColourEmbedder(64)
    both = CombinedEmbedder([small, large], [3, 1])
    assert both.input_size == (64, 64)
    features = both(patches)
    assert features.shape == (2, 1024)
    np.testing.assert_allclose(np.linalg.norm(features, axis=1), 1, atol=1e-6)
    np.testing.assert_allclose(features[0] @ features[1], 0.5, atol=1e-6)
    assert both.digest != CombinedEmbedder([small, large], [1, 1]).digest


@pytest.mark.parametrize("weights", [[1.0], [1.0, 0.0], [1.0, float("nan")]])
def test_weights_that_do_not_fit(weights: list[float]) -> None:
    with pytest.raises(InputError, match="weight"):
        CombinedEmbedder([ColourEmbedder(), ColourEmbedder()], weights)
