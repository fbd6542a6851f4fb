from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import numpy as np
import pytest

from ssat import track_video
from ssat.detection.detections import Detections
from ssat.embedding.colour import ColourEmbedder
from ssat.embedding.embedder import Embedder
from ssat.embedding.patches import crop_patches
from ssat.errors import InputError
from ssat.mot.sequence import MotSequence
from ssat.pipeline.appearance import KnownFeatures
from ssat.pipeline.detecting import GivenDetections, NumberedImage
from ssat.pipeline.frames import DetectedFrame
from ssat.pipeline.inputs import open_input
from ssat.pipeline.pipeline import Pipeline, track_frames
from ssat.pipeline.run import input_pipeline
from ssat.pipeline.sinks import FeatureTable, ResultTable
from ssat.pipeline.stage_seconds import StageSeconds
from ssat.tracking import Tracker, TrackerConfig, Tracks
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


def test_every_entry_gives_the_same_tracks(make_sequence: Callable[..., Path], tmp_path: Path) -> None:
    folder = make_sequence(tmp_path)
    one, source = _open(folder)
    embedder, detections = ColourEmbedder(), one.detections()
    table, features = ResultTable(), FeatureTable(len(detections))
    Pipeline(iter(source), GivenDetections(detections), Tracker(frame_rate=10), embedder, (table, features)).run()
    expected = table.tracked(None, StageSeconds()).rows()
    assert len(expected) == len(detections)
    assert features.features is not None

    def of_input(live: bool, known: KnownFeatures | None) -> ResultTable:
        table = ResultTable()
        opened = open_input(folder, None)
        pipeline = input_pipeline(opened, Tracker(frame_rate=10), known or embedder, live=live, sinks=(table,))
        assert pipeline.run().embed == 0 or known is None
        return table

    tables = [
        of_input(live=False, known=None),
        of_input(live=True, known=None),
        of_input(live=False, known=KnownFeatures(features.features)),
    ]
    for table in tables:
        np.testing.assert_array_equal(table.tracked(None, StageSeconds()).ids, expected.ids)
    shown = [tracks.ids for _, _, tracks in track_video(folder, embedder=embedder, config=Tracker().config)]
    np.testing.assert_array_equal(np.concatenate(shown), expected.ids)
    given = track_frames(source, detections, Tracker(frame_rate=10), features=features.features)
    np.testing.assert_array_equal(given.rows().ids, expected.ids)


class _Leading:
    """A detector that the tracks lead: it finds each of them one pixel further on, and one person at the start."""

    reads_tracks = True

    def __init__(self) -> None:
        self.followed = [np.array([[5.0, 5, 15, 35]])]

    def detect(self, frames: Iterable[NumberedImage], seconds: StageSeconds, *, live: bool) -> Iterator[DetectedFrame]:
        start = Detections.of_boxes(self.followed[0], np.ones(1))
        for number, image in frames:
            if number == 1:
                yield DetectedFrame(number, image, start, starts_only=True)
            boxes = self.followed[-1] + [1, 0, 1, 0]
            yield DetectedFrame(number, image, Detections.of_boxes(boxes, np.ones(len(boxes))))

    def follow(self, tracks: Tracks) -> None:
        self.followed.append(tracks.boxes)


@pytest.mark.parametrize("embedder", [None, ColourEmbedder()])
def test_tracks_lead_the_detections_of_the_next_frame(embedder: ColourEmbedder | None) -> None:
    leading, seen = _Leading(), []
    images = ((number, np.zeros((60, 90, 3), np.uint8)) for number in range(1, 6))
    pipeline = Pipeline(
        images, leading, Tracker(), embedder, before=lambda number, image: seen.append((number, image is not None))
    )
    tracked = [(frame.number, tracks) for frame, tracks in pipeline]
    assert [number for number, _ in tracked] == [1, 2, 3, 4, 5], "the frame that starts tracks is not shown"
    assert [number for number, _ in seen] == [1, 1, 2, 3, 4, 5]
    assert {identity for _, tracks in tracked for identity in tracks.ids.tolist()} == {1}
    assert [tracks.boxes[0, 0] for _, tracks in tracked] == [6, 7, 8, 9, 10]


def test_lost_tracks_are_told_with_their_frame_also_where_frames_wait(
    make_sequence: Callable[..., Path], tmp_path: Path
) -> None:
    one, source = _open(make_sequence(tmp_path))
    config = Tracker().config.model_copy(update={"confirm_hits": 3})
    detector = GivenDetections(one.detections())
    late = Pipeline(source, detector, Tracker(config, 10), with_lost=True)
    at_once = Pipeline(source, detector, Tracker(config, 10), with_lost=True, live=True)
    lost = [[frame.lost[0].tolist() for frame, _ in pipeline if frame.lost is not None] for pipeline in (late, at_once)]
    assert lost[0] == lost[1]
    assert any(lost[0])


def test_a_pipeline_that_is_left_early_closes_its_source() -> None:
    closed = []

    def frames() -> Iterator[NumberedImage]:
        try:
            yield from ((number, None) for number in range(1, 100))
        finally:
            closed.append(True)

    from ssat.mot.rows import NO_ROWS

    tracking = iter(Pipeline(frames(), GivenDetections(NO_ROWS), Tracker()))
    next(tracking)
    tracking.close()  # type: ignore[attr-defined]
    assert closed


def test_detections_of_other_libraries_go_through_track_video(
    make_sequence: Callable[..., Path], tmp_path: Path
) -> None:
    import supervision

    folder, config = make_sequence(tmp_path), TrackerConfig(confirm_hits=2)
    sequence, source = _open(folder)
    rows = sequence.detections()
    by_frame = [
        supervision.Detections(rows.boxes[at], confidence=rows.scores[at], class_id=np.zeros(len(rows.boxes[at]), int))
        for at in (rows.at(number) for number, _ in source)
    ]
    arrays = [given.xyxy for given in by_frame]
    expected = [tracks.ids.tolist() for _, _, tracks in track_video(folder, config=config)]
    remaining = iter(by_frame)
    results = {
        "listed": list(track_video(folder, detections=by_frame, config=config)),
        "called": list(track_video(folder, detector=lambda image: next(remaining), config=config)),
    }
    for tracked in results.values():
        assert [tracks.ids.tolist() for _, _, tracks in tracked] == expected
        assert [tracks.labelled().tracker_id.tolist() for _, _, tracks in tracked] == expected
    assert [tracks.ids.tolist() for _, _, tracks in track_video(folder, detections=arrays, config=config)] == expected
    given = [tracks.labelled() for _, _, tracks in track_video(folder, detections=by_frame, tracker="centertrack")]
    assert all(len(labelled) for labelled in given)

    with pytest.raises(InputError, match="frame 6: there are detections of 5 frames only"):
        list(track_video(folder, detections=by_frame[:5]))
    with pytest.raises(InputError, match="1 more than frames"):
        list(track_video(folder, detections=[*by_frame, by_frame[0]]))
    with pytest.raises(InputError, match=r"frame 1: .*results\[0\]"):
        list(track_video(folder, detector=lambda image: [by_frame[0]]))
    with pytest.raises(InputError, match="one of the two"):
        list(track_video(folder, detections=by_frame, detector=lambda image: by_frame[0]))
