from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from ssat.embedding.embedder import Embedder
from ssat.embedding.patches import crop_patches
from ssat.mot.sequence import MotSequence
from ssat.pipeline.pipeline import track_frames
from ssat.tracking import Tracker
from ssat.video.sources import ImageSource


@pytest.fixture(scope="module")
def embedder() -> Embedder:
    return Embedder.untrained("resnet18", input_size=32)


def _open(folder: Path) -> tuple[MotSequence, ImageSource]:
    one = MotSequence.open(folder)
    numbers = range(1, one.n_frames + 1)
    return one, ImageSource(one.name, one.frame_rate, [one.image_path(n) for n in numbers], numbers)


@pytest.mark.parametrize("batch", [1, 7, 1000])
def test_batching_over_frames_changes_nothing(
    batch: int, embedder: Embedder, make_sequence: Callable[..., Path], tmp_path: Path
) -> None:
    one, source = _open(make_sequence(tmp_path))
    detections, tracker, frame_by_frame = one.detections(), Tracker(frame_rate=10), []
    for number, image in source:
        boxes = detections.boxes[detections.at(number)]
        frame_by_frame += tracker.update(boxes, embedder(crop_patches(image, boxes, 32)[0])).ids.tolist()
    seen: list[int] = []
    tracked = track_frames(
        source,
        detections,
        Tracker(frame_rate=10),
        embedder=embedder,
        batch=batch,
        sink=lambda number, image, tracks: seen.append(number),
    )
    assert tracked.ids.tolist() == frame_by_frame
    assert seen == list(range(1, 13))
    assert tracked.n_frames == 12
    np.testing.assert_array_equal(tracked.frames, detections.frames)
    np.testing.assert_array_equal(tracked.boxes, detections.boxes)
    np.testing.assert_array_equal(tracked.scores, detections.scores)
    assert tracked.features is not None
    np.testing.assert_allclose(np.linalg.norm(tracked.features, axis=1), 1.0, rtol=1e-5)


def test_given_features_need_no_images(embedder: Embedder, make_sequence: Callable[..., Path], tmp_path: Path) -> None:
    one, source = _open(make_sequence(tmp_path))
    first = track_frames(source, one.detections(), Tracker(frame_rate=10), embedder=embedder)
    frames = ((number, None) for number in range(1, 13))
    again = track_frames(frames, one.detections(), Tracker(frame_rate=10), features=first.features)
    np.testing.assert_array_equal(again.ids, first.ids)
    assert again.seconds.embed == 0
    with pytest.raises(ValueError, match="needs the images"):
        track_frames([(1, None)], one.detections(), Tracker(), embedder=embedder)


def test_an_empty_patch_has_a_zero_feature(
    embedder: Embedder, make_sequence: Callable[..., Path], tmp_path: Path
) -> None:
    one, source = _open(make_sequence(tmp_path))
    detections = one.detections()
    detections.boxes[4] += 5000
    tracked = track_frames(source, detections, Tracker(frame_rate=10), embedder=embedder)
    assert tracked.features is not None
    assert not tracked.features[4].any()
    assert tracked.features.any(axis=1).sum() == len(detections) - 1


def test_without_embedder_it_is_the_box_tracker_and_frames_may_be_empty() -> None:
    from ssat.mot.rows import MotRows

    n = np.array([2, 2, 4])
    boxes = np.array([[0, 0, 10, 30], [100, 0, 110, 30], [1, 0, 11, 30]], float)
    rows = MotRows(n, -np.ones(3, int), boxes, np.ones(3), np.ones(3, int))
    tracked = track_frames(((number, None) for number in range(1, 6)), rows, Tracker())
    assert tracked.ids.tolist() == [1, 2, 1]
    assert tracked.frames.tolist() == [2, 2, 4]
    assert tracked.features is None
    nothing = rows.select(np.zeros(3, bool))
    assert len(track_frames(((number, None) for number in range(1, 6)), nothing, Tracker()).ids) == 0
