"""Features taken over from the frame before, where nobody else could be meant."""

from dataclasses import dataclass

import numpy as np
import pytest
from numpy.typing import NDArray

from ssat.detection.detections import Detections
from ssat.pipeline.appearance import with_features
from ssat.pipeline.frames import DetectedFrame
from ssat.pipeline.reuse import EMBED, FeatureReuse
from ssat.pipeline.stage_seconds import StageSeconds

_A, _B = [10.0, 10, 30, 60], [60.0, 10, 80, 60]


def _sources(reuse: FeatureReuse, number: int, *boxes: list[float]) -> list[int]:
    return reuse.sources(number, np.array(boxes).reshape(-1, 4)).tolist()


def test_a_patch_is_embedded_every_third_frame() -> None:
    reuse = FeatureReuse(3)
    sources = [_sources(reuse, number, [10.0 + number, 10, 30 + number, 60]) for number in range(1, 8)]
    assert sources == [[EMBED], [0], [0], [EMBED], [0], [0], [EMBED]]
    assert (reuse.reused, reuse.total) == (4, 7)


def test_rows_are_those_of_the_frame_before_and_a_new_person_is_embedded() -> None:
    reuse = FeatureReuse(4)
    assert _sources(reuse, 1, _A, _B) == [EMBED, EMBED]
    assert _sources(reuse, 2, _B, [200.0, 10, 220, 60], _A) == [1, EMBED, 0]


def test_people_who_overlap_and_frames_left_out_are_embedded() -> None:
    reuse = FeatureReuse(4)
    beside = [14.0, 10, 34, 60]  # overlaps _A by 0.67
    _sources(reuse, 1, _A, beside, _B)
    assert _sources(reuse, 2, _A, beside, _B) == [EMBED, EMBED, 2]
    assert _sources(reuse, 4, _A, beside, _B) == [EMBED] * 3


@dataclass
class _Brightness:
    """An embedder that counts; its feature is the brightness of the patch."""

    input_size: int = 8
    digest: str = "brightness"
    embedded: int = 0

    def __call__(self, patches: NDArray[np.uint8]) -> NDArray[np.float32]:
        self.embedded += len(patches)
        return patches.mean(axis=(1, 2, 3))[:, None].astype(np.float32)


@pytest.mark.parametrize("batch", [1, 5, 100])
def test_features_are_of_the_last_embedded_frame_whatever_the_batch(batch: int) -> None:
    # Frame n has brightness 10 n; a second person comes in frame 3, the first row then.
    frames = []
    for number in range(1, 7):
        boxes = np.array([_B, _A] if number >= 3 else [_A])
        image = np.full((80, 100, 3), 10 * number, np.uint8)
        frames.append(DetectedFrame(number, image, Detections.of_boxes(boxes, np.ones(len(boxes)))))
    embedder, reuse = _Brightness(), FeatureReuse(3)
    done = list(with_features(frames, embedder, StageSeconds(), batch, reuse))
    features = [frame.features.ravel().tolist() for frame in done if frame.features is not None]
    assert features == [[10], [10], [30, 10], [30, 40], [30, 40], [60, 40]]
    assert embedder.embedded == 4
    assert (reuse.reused, reuse.total) == (6, 10)


def test_without_reuse_every_patch_is_embedded() -> None:
    image = np.full((80, 100, 3), 50, np.uint8)
    frames = [DetectedFrame(n, image, Detections.of_boxes(np.array([_A]), np.ones(1))) for n in (1, 2, 3)]
    embedder = _Brightness()
    assert len(list(with_features(frames, embedder, StageSeconds()))) == 3
    assert embedder.embedded == 3


def test_a_patch_outside_the_image_gives_a_zero_row_that_is_taken_over() -> None:
    image, outside = np.full((80, 100, 3), 50, np.uint8), [200.0, 10, 220, 60]
    frames = [DetectedFrame(n, image, Detections.of_boxes(np.array([outside]), np.ones(1))) for n in (1, 2)]
    done = list(with_features(frames, _Brightness(), StageSeconds(), 100, FeatureReuse(3)))
    assert [frame.features for frame in done] == [None, None]
