import numpy as np
import pytest

from ssat.demo.figure import PHASES, PersonFigure, Placement


@pytest.fixture(scope="module")
def figure() -> PersonFigure:
    return PersonFigure.draw(np.random.default_rng(3))


def test_same_seed_same_figure_other_seed_another(figure: PersonFigure) -> None:
    np.testing.assert_array_equal(figure.sprites, PersonFigure.draw(np.random.default_rng(3)).sprites)
    other = PersonFigure.draw(np.random.default_rng(4))
    assert np.abs(figure.sprites.astype(int) - other.sprites).mean() > 5


def test_sprite_boxes_hold_all_that_is_opaque_and_no_more(figure: PersonFigure) -> None:
    assert len(figure.sprites) == PHASES
    for sprite, (x1, y1, x2, y2) in zip(figure.sprites, figure.boxes, strict=True):
        opaque = sprite[..., 3] > 127
        assert opaque[y1:y2, x1:x2].sum() == opaque.sum()
        for edge in (opaque[y1, x1:x2], opaque[y2 - 1, x1:x2], opaque[y1:y2, x1], opaque[y1:y2, x2 - 1]):
            assert edge.any()


@pytest.mark.parametrize("facing", [1, -1])
@pytest.mark.parametrize("height", [48.0, 110.0, 190.0])
@pytest.mark.parametrize("stride", [0.0, 0.3, 0.8])
def test_box_matches_the_pixels_that_are_drawn(figure: PersonFigure, facing: int, height: float, stride: float) -> None:
    image = np.zeros((240, 320, 3), np.uint8)
    placement = Placement(151.3, 220.6, height, stride, facing)
    part, opacity = placement.paste(figure, image)
    rows, columns = np.nonzero(opacity > 127)
    drawn = np.array([columns.min(), rows.min(), columns.max() + 1, rows.max() + 1], float)
    drawn += [part[1].start, part[0].start] * 2
    np.testing.assert_allclose(placement.box(figure), drawn, atol=1.3)
    # What was drawn is where the opacity says, and nowhere else.
    outside = image.copy()
    outside[part][opacity > 0] = 0
    assert not outside.any()
    assert (opacity > 127).sum() == pytest.approx(placement.opaque_pixels(figure), rel=0.08)


def test_facing_left_is_the_mirror_image(figure: PersonFigure) -> None:
    right, left = np.zeros((200, 200, 3), np.uint8), np.zeros((200, 200, 3), np.uint8)
    Placement(100.0, 196.0, 190.0, 0.4, 1).paste(figure, right)
    Placement(100.0, 196.0, 190.0, 0.4, -1).paste(figure, left)
    assert np.abs(right.astype(int) - left[:, ::-1]).mean() < 0.5


def test_a_figure_outside_the_image_leaves_it_alone(figure: PersonFigure) -> None:
    image = np.full((60, 80, 3), 7, np.uint8)
    _, opacity = Placement(-300.0, 50.0, 100.0, 0.0, 1).paste(figure, image)
    assert opacity.size == 0
    assert (image == 7).all()


def test_a_figure_at_the_rim_is_cut_off_not_moved(figure: PersonFigure) -> None:
    whole, cut = np.zeros((200, 400, 3), np.uint8), np.zeros((200, 200, 3), np.uint8)
    Placement(200.0, 190.0, 150.0, 0.2, 1).paste(figure, whole)
    Placement(0.0, 190.0, 150.0, 0.2, 1).paste(figure, cut)
    np.testing.assert_array_equal(whole[:, 200:], cut)
