from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from ssat.detection.detections import Detections
from ssat.detection.detector import detected

Image = np.ndarray


class _Brightness:
    """A detector whose answer is the brightness of the frame and of the one before."""

    name, digest, key, batch = "brightness", "0", "k", 4

    def __init__(self, reads_previous: bool = True) -> None:
        self.reads_previous = reads_previous
        self.calls: list[int] = []

    def __call__(self, images: Sequence[Image], previous: Image | None = None) -> list[Detections]:
        self.calls.append(len(images))
        before = [images[0] if previous is None else previous, *images[:-1]]
        answer = []
        for image, earlier in zip(images, before, strict=True):
            box = np.array([[0.0, 0.0, float(image[0, 0, 0]), float(earlier[0, 0, 0])]])
            answer.append(Detections.of_boxes(box, np.ones(1)))
        return answer


def _frames(first: int, last: int) -> list[tuple[int, Image]]:
    return [(n, np.full((2, 2, 3), n, np.uint8)) for n in range(first, last + 1)]


def _boxes(found: list[tuple[int, Image, Detections]]) -> list[list[float]]:
    return [one.boxes[0, 2:].tolist() for _, _, one in found]


@pytest.mark.parametrize("batch", [None, 1, 3])
def test_every_frame_is_seen_with_the_one_before(batch: int | None) -> None:
    detector = _Brightness()
    found = list(detected(_frames(5, 14), detector, batch=batch))
    assert [number for number, _, _ in found] == list(range(5, 15))
    assert _boxes(found) == [[5, 5]] + [[n, n - 1] for n in range(6, 15)]
    assert max(detector.calls) == (batch or 4)


def test_kept_detections_are_not_computed_again_and_an_interruption_costs_one_chunk(tmp_path: Path) -> None:
    detector = _Brightness()
    first = []
    for item in detected(_frames(1, 80), detector, cache=tmp_path, content=str):
        first.append(item)
        if item[0] == 70:
            break
    assert len(list(tmp_path.rglob("*.parquet"))) == 2
    detector.calls.clear()
    again = list(detected(_frames(1, 80), detector, cache=tmp_path, content=str))
    assert sum(detector.calls) == 80 - 64
    assert _boxes(again)[:70] == _boxes(first)
    detector.calls.clear()
    assert _boxes(list(detected(_frames(1, 80), detector, cache=tmp_path, content=str))) == _boxes(again)
    assert not detector.calls


def test_another_frame_before_is_another_answer_where_it_is_looked_at(tmp_path: Path) -> None:
    for reads_previous, computed, first in ((True, 32, [33, 33]), (False, 0, [33, 32])):
        cache = tmp_path / str(reads_previous)
        detector = _Brightness(reads_previous)
        list(detected(_frames(1, 80), detector, cache=cache, content=str))
        detector.calls.clear()
        # From 33 on, the chunk 33 … 64 has no frame before it; that of 65 … 80 follows the same one.
        found = list(detected(_frames(33, 80), detector, cache=cache, content=str))
        assert sum(detector.calls) == computed
        assert _boxes(found)[0] == first
