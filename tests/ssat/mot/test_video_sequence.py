"""Videos with labels of CVAT or in COCO-video form, made from the frames and labels of a MOTChallenge sequence."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from xml.sax.saxutils import quoteattr

import av
import numpy as np
import pytest

from ssat.errors import InputError
from ssat.mot.cvat import read_cvat
from ssat.mot.find import find_sequences
from ssat.mot.rows import MotRows
from ssat.mot.sequence import MotSequence
from ssat.pipeline.benchmark_inputs import prepare
from ssat.pipeline.settings import BenchmarkSettings
from ssat.video.image_files import read_image

META = (
    "<meta><task><size>{size}</size><start_frame>{start}</start_frame><stop_frame>{stop}</stop_frame>{filter}</task>"
    "</meta>"
)


@pytest.fixture
def walk(make_sequence: Callable[..., Path], tmp_path: Path) -> MotSequence:
    """Twelve frames of three people."""
    return MotSequence.open(make_sequence(tmp_path / "mot", n_frames=12))


@pytest.fixture
def folder(walk: MotSequence, tmp_path: Path) -> Path:
    """A folder with walk.mp4 of the same frames, and walk.txt of its detections."""
    folder = tmp_path / "videos"
    folder.mkdir()
    with av.open(str(folder / "walk.mp4"), "w") as container:
        stream = container.add_stream("libx264", rate=10, options={"crf": "1", "preset": "ultrafast"})
        stream.width, stream.height, stream.pix_fmt = walk.width, walk.height, "yuv444p"
        for number in range(1, 13):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(read_image(walk.image_path(number)), "rgb24")))
        container.mux(stream.encode())
    (folder / "walk.txt").write_text(walk.detection_path().read_text())
    return folder


def cvat(rows: MotRows, *, label: str = "person", start: int = 0, stop: int = 11, step: int = 1, every: int = 1) -> str:
    """An export of CVAT with the boxes of `rows` in each `every`-th frame, whose frames are those of the video."""
    tracks = []
    for identity in np.unique(rows.ids):
        own = rows.select(rows.ids == identity)
        boxes = "".join(
            f'<box frame="{frame - 1}" keyframe="1" outside="0" occluded="0" xtl="{x1}" ytl="{y1}" xbr="{x2}" '
            f'ybr="{y2}" z_order="0"><attribute name="pose">walks</attribute></box>'
            for frame, (x1, y1, x2, y2) in zip(own.frames.tolist(), own.boxes.tolist(), strict=True)
            if (frame - 1) % every == 0
        )
        tracks.append(f'<track id="{identity}" label={quoteattr(label)} source="manual">{boxes}</track>')
    chosen = f"<frame_filter>step={step}</frame_filter>" if step > 1 else "<frame_filter></frame_filter>"
    meta = META.format(size=12, start=start, stop=stop, filter=chosen)
    head = "<?xml version='1.0' encoding='utf-8'?><annotations><version>1.1</version>"
    return f"{head}{meta}{''.join(tracks)}</annotations>"


def coco(rows: MotRows, name: str, identity: str, first: int) -> dict[str, object]:
    sizes = rows.boxes[:, 2:] - rows.boxes[:, :2]
    return {
        "categories": [{"id": 1, "name": "person"}, {"id": 2, "name": "car"}],
        "videos": [{"id": 7, "name": "other.mp4"}, {"id": 8, "name": name}],
        "images": [
            {"id": 100 + frame, "video_id": 8, "frame_id": frame - 1 + first, "file_name": f"{frame}.jpg"}
            for frame in range(1, 13)
        ],
        "annotations": [
            {
                "id": index,
                "image_id": 100 + int(rows.frames[index]),
                "category_id": 1,
                identity: int(rows.ids[index]),
                "bbox": [*rows.boxes[index, :2].tolist(), *sizes[index].tolist()],
            }
            for index in range(len(rows))
        ]
        + [{"id": 999, "image_id": 101, "category_id": 2, identity: 50, "bbox": [1, 2, 3, 4]}],
    }


def assert_same_rows(found: MotRows, expected: MotRows) -> None:
    found_order, expected_order = (np.lexsort((rows.ids, rows.frames)) for rows in (found, expected))
    np.testing.assert_array_equal(found.frames[found_order], expected.frames[expected_order])
    np.testing.assert_array_equal(found.ids[found_order], expected.ids[expected_order])
    np.testing.assert_allclose(found.boxes[found_order], expected.boxes[expected_order], atol=1e-9)


def test_a_video_with_cvat_labels_is_the_sequence_it_was_made_of(walk: MotSequence, folder: Path) -> None:
    (folder / "walk.xml").write_text(cvat(walk.ground_truth()))
    (sequence,) = find_sequences(folder)
    assert (sequence.name, sequence.n_frames, sequence.frame_rate) == ("walk", 12, 10.0)
    assert (sequence.width, sequence.height, sequence.has_frames) == (320, 200, True)
    assert_same_rows(sequence.ground_truth(), walk.ground_truth())
    assert_same_rows(sequence.detections(), walk.detections())
    frames = list(sequence.frame_source([7, 8, 9]))
    assert [number for number, _ in frames] == [7, 8, 9]
    for number, image in frames:
        assert np.abs(image.astype(int) - read_image(walk.image_path(number))).mean() < 3
    digests = {sequence.frame_digest(number) for number in range(1, 13)}
    assert len(digests) == 12, "a frame is told from the others of its video"


@pytest.mark.parametrize(("identity", "first"), [("instance_id", 0), ("track_id", 1)])
def test_one_coco_video_file_labels_the_videos_of_a_folder(
    walk: MotSequence, folder: Path, identity: str, first: int
) -> None:
    (folder / "annotations.json").write_text(json.dumps(coco(walk.ground_truth(), "videos/walk.mp4", identity, first)))
    (sequence,) = find_sequences(folder, ["wa*"])
    assert_same_rows(sequence.ground_truth(), walk.ground_truth())


def test_a_box_moves_between_key_frames_and_ends_outside(walk: MotSequence, tmp_path: Path) -> None:
    path = tmp_path / "walk.xml"
    # People walk in a straight line: every fifth frame is enough.
    path.write_text(cvat(walk.ground_truth(), every=5))
    expected = walk.ground_truth()
    assert_same_rows(read_cvat(path).rows, expected.select(expected.frames <= 11))
    path.write_text(
        "<annotations><track id='3' label='dog'>"
        "<box frame='0' outside='0' xtl='0' ytl='0' xbr='10' ybr='10'/>"
        "<box frame='3' outside='1' xtl='9' ytl='9' xbr='19' ybr='19'/>"
        "<box frame='5' outside='0' xtl='20' ytl='0' xbr='30' ybr='10'/></track></annotations>"
    )
    rows = read_cvat(path).rows
    assert rows.frames.tolist() == [1, 2, 3, 6]
    assert rows.boxes[:, 0].tolist() == [0, 0, 0, 20]


def test_a_part_of_a_video_that_was_labelled_at_every_second_frame(walk: MotSequence, folder: Path) -> None:
    (folder / "walk.xml").write_text(cvat(walk.ground_truth(), start=2, stop=8, step=2))
    (sequence,) = find_sequences(folder)
    assert (sequence.n_frames, sequence.frame_rate) == (4, 5.0)
    for number, image in sequence.frame_source(range(1, 5)):
        place = 1 + 2 + (number - 1) * 2  # of the video, from 1
        assert np.abs(image.astype(int) - read_image(walk.image_path(place))).mean() < 3
        for found, expected in (
            (sequence.ground_truth(), walk.ground_truth()),
            (sequence.detections(), walk.detections()),
        ):
            np.testing.assert_allclose(found.boxes[found.at(number)], expected.boxes[expected.at(place)])


def test_a_benchmark_prepares_videos(walk: MotSequence, folder: Path) -> None:
    (folder / "walk.xml").write_text(cvat(walk.ground_truth()))
    settings = BenchmarkSettings(mot=str(folder), tracker="ssat", split="val-half", detections="public")
    (entry,), skipped = prepare(settings)
    assert (entry.frames, skipped) == (range(8, 13), {})
    assert set(entry.truth.frames.tolist()) == set(range(8, 13))
    assert entry.images != prepare(settings.model_copy(update={"split": "train"}))[0][0].images


DOCTYPE = "<!DOCTYPE a [<!ENTITY x 'ha'><!ENTITY y '&x;&x;'>]><annotations>&y;</annotations>"
BOX = (
    "<annotations><track id='1' label='person'><box frame='{}' outside='0' xtl='{}' ytl='0' xbr='10' ybr='10'/>"
    "</track></annotations>"
)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (DOCTYPE, "line 1: a document type declaration is refused"),
        ("<annotations><track", "not well-formed XML"),
        ("<html/>", "root element 'html'"),
        ("<annotations><image id='0'/></annotations>", "CVAT for images, without tracks"),
        ("<annotations><meta><project/></meta></annotations>", "export each task"),
        (BOX.format("-1", "0"), "line 1: frame is '-1', expected a whole number"),
        (BOX.format("0", "left"), "line 1: xtl is 'left', expected a number"),
        (BOX.format("0", "nan"), "track 1, frame 0: box nan 0 10 10, expected finite"),
        (BOX.format("0", "10"), "has no extent"),
        (BOX.format("40", "0"), "labels up to frame 40, counted from 0, but walk.mp4 has 12 frames"),
        (
            "<annotations><track id='1' label='car'/><track id='2' label='bus'/></annotations>",
            "no class of people among 'bus', 'car'",
        ),
    ],
)
def test_faulty_cvat_labels_are_refused(folder: Path, text: str, message: str) -> None:
    (folder / "walk.xml").write_text(text)
    with pytest.raises(InputError, match=message) as caught:
        find_sequences(folder)
    assert "walk.xml" in str(caught.value)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"images": [{"id": 1, "video_id": 3, "frame_id": 0}]}, "images entry 0: video_id is 3"),
        ({"images": [{"id": 1, "video_id": 8, "frame_id": "0"}]}, "images entry 0: frame_id is '0'"),
        ({"images": None}, "images is no list of objects"),
        (
            {"annotations": [{"image_id": 101, "category_id": 1, "bbox": [0, 0, 1, 1]}]},
            "instance_id or track_id is None",
        ),
        ({"annotations": [{"image_id": 101, "category_id": 1, "track_id": 1, "bbox": [0, 0]}]}, r"bbox is \[0, 0\]"),
        ({"annotations": [{"image_id": 5, "category_id": 1, "track_id": 1, "bbox": [0, 0, 1, 1]}]}, "image_id is 5"),
        ({"videos": [{"id": 8}]}, "videos entry 0: name is None"),
    ],
)
def test_faulty_coco_video_labels_are_refused(
    walk: MotSequence, folder: Path, change: dict[str, object], message: str
) -> None:
    content = coco(walk.ground_truth(), "walk", "track_id", 0) | change
    (folder / "annotations.json").write_text(json.dumps(content))
    with pytest.raises(InputError, match=message):
        find_sequences(folder)


def test_a_video_without_labels_is_not_scored(walk: MotSequence, folder: Path) -> None:
    with pytest.raises(InputError, match="videos with labels beside them"):
        find_sequences(folder)
    (folder / "street.xml").write_text(cvat(walk.ground_truth()))
    (folder / "street.mp4").write_bytes((folder / "walk.mp4").read_bytes())
    street, unlabelled = find_sequences(folder)
    assert (street.name, unlabelled.name, unlabelled.n_frames) == ("street", "walk", 12)
    assert len(street.ground_truth()) == 36
    with pytest.raises(InputError, match="It can be tracked but not scored"):
        unlabelled.ground_truth()
    with pytest.raises(InputError, match=r"street\.txt: no such detection file"):
        street.detections()
