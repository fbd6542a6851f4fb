from pathlib import Path

import av
import numpy as np
import pytest

from ssat.tracking import Tracks
from ssat.video.annotated import AnnotatedVideo, TrackPainter, identity_colour


def _tracks(*rows: tuple[int, list[float]]) -> Tracks:
    ids = np.array([identity for identity, _ in rows], np.int64)
    return Tracks(ids, np.array([box for _, box in rows], float).reshape(-1, 4), np.arange(len(rows)))


def test_the_video_can_be_read_again_and_shows_boxes_where_they_are(tmp_path: Path) -> None:
    path = tmp_path / "out" / "walk.mp4"
    with AnnotatedVideo(path, 25.0) as video:
        for number in range(1, 11):
            left = 300.0 + 10 * number
            video.write(number, np.full((600, 1921, 3), 90, np.uint8), _tracks((3, [left, 100, left + 200, 500])))
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        assert (stream.codec_context.name, stream.width, stream.height) == ("h264", 1280, 398)
        assert stream.average_rate == 25
        frames = [frame.to_ndarray(format="rgb24") for frame in container.decode(stream)]
    assert len(frames) == 10
    scale = 1280 / 1921
    left_edge = frames[-1][round(300 * scale), round(400 * scale)].astype(int)
    assert np.abs(left_edge - identity_colour(3)).max() < 90, "the box is drawn in the colour of its identity"
    assert np.abs(frames[-1][300, 1200].astype(int) - 90).max() < 12
    assert [p.name for p in path.parent.iterdir()] == ["walk.mp4"]


def test_a_trail_follows_its_identity_and_ends_where_it_was_lost() -> None:
    painter, black = TrackPainter(frame_rate=2.0), np.zeros((100, 200, 3), np.uint8)
    painter.paint(1, black, _tracks((1, [10, 10, 30, 60])))
    second = painter.paint(2, black, _tracks((1, [110, 10, 130, 60])))
    assert second[60, 70].any(), "from (20, 60) to (120, 60)"
    assert not black.any(), "the frame given is not drawn on"
    assert not painter.paint(9, black, _tracks()).any()


def test_boxes_outside_the_picture_and_frames_without_tracks() -> None:
    painter = TrackPainter(frame_rate=30.0)
    picture = painter.paint(1, np.zeros((41, 63, 3), np.uint8), _tracks((7, [-1e6, -1e6, 1e6, 1e6])))
    assert picture.shape == (40, 62, 3)


def test_neighbouring_identities_have_colours_that_differ() -> None:
    colours = np.array([identity_colour(n) for n in range(1, 9)], int)
    distance = np.abs(colours[:, None] - colours).max(axis=2)
    assert distance[~np.eye(8, dtype=bool)].min() > 50


def test_an_error_leaves_no_half_video(tmp_path: Path) -> None:
    def write_and_fail() -> None:
        with AnnotatedVideo(tmp_path / "walk.mp4", 25.0) as video:
            video.write(1, np.zeros((64, 64, 3), np.uint8), _tracks())
            raise RuntimeError("tracker")

    with pytest.raises(RuntimeError, match="tracker"):
        write_and_fail()
    assert list(tmp_path.iterdir()) == []
