"""The gallery is drawn from rendered scenes, in small files."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from ssat.demo.gallery import GalleryScenes, Visit, draw_gallery, returns_restored, visits_picture
from ssat.video.annotated import identity_colour

_MAX_BYTES = 150_000
_DOCS = Path(__file__).parents[3] / "docs"


def _visit(without: int, remembered: int) -> Visit:
    return Visit([np.zeros((96, 48, 3), np.uint8)] * 3, [9, without, without], [9, remembered, remembered])


def test_returns_count_if_most_boxes_have_the_identity_of_an_earlier_visit() -> None:
    visits = {(0, 0): _visit(1, 1), (0, 1): _visit(3, 1), (1, 0): _visit(2, 2), (1, 1): _visit(4, 4)}
    text = returns_restored(visits)
    assert text.startswith("2 figures return 2 times in all. Without memory 0 returns")
    assert text.endswith("with a memory of 60 seconds 1.")


def test_visits_are_framed_in_the_colour_of_their_identity(tmp_path: Path) -> None:
    visits = {(0, 0): _visit(1, 1), (0, 1): _visit(3, 1)}
    picture = cv2.cvtColor(cv2.imread(str(visits_picture(visits, tmp_path / "a.jpg", tmp_path))), cv2.COLOR_BGR2RGB)
    cell = 48 + 2 * 3 + 4
    for column, identity in enumerate((1, 3, 1, 1)):
        left = 4 + column * cell
        np.testing.assert_allclose(picture[50, left + 1], identity_colour(identity), atol=40)


@pytest.mark.slow
def test_every_block_of_the_page_is_drawn(tmp_path: Path) -> None:
    scenes = GalleryScenes(frames=90, figures=4, visitors=3, visits=2, absence_seconds=(3.0, 4.0))
    blocks = draw_gallery(tmp_path / "images", tmp_path / "work", scenes)
    page = (_DOCS / "gallery.md").read_text()
    for name, content in blocks.items():
        assert f"<!-- {name} -->" in page
        picture = tmp_path / content.rsplit("(", 1)[1].rstrip(")")
        assert cv2.imread(str(picture)) is not None
        assert picture.stat().st_size < _MAX_BYTES
    assert "| strong with colour |" in blocks["tracks"]
    assert "found again after" in blocks["explain"]


def test_pictures_of_the_page_are_small() -> None:
    pictures = list((_DOCS / "images").glob("gallery-*"))
    assert len(pictures) == 5
    assert all(picture.stat().st_size < _MAX_BYTES for picture in pictures)
