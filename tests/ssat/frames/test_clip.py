import hashlib
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
import simplejpeg

from ssat.frames.clip import ClipJob, spool_clip, spooled_frames, was_begun
from ssat.frames.settings import DecodeSettings

SETTINGS = DecodeSettings()


def job_of(path: Path, frames: int = 30) -> ClipJob:
    return ClipJob(7, path.stem, path, hashlib.sha256(path.read_bytes()).hexdigest(), frames)


def test_every_frame_of_a_clip_is_spooled(small_clips: list[Path], tmp_path: Path) -> None:
    spooled = spool_clip(job_of(small_clips[0]), SETTINGS, tmp_path)
    record = spooled.record
    assert (record.status, record.n_frames, record.n_decoded) == ("ok", 30, 30)
    assert (record.width, record.height, record.duration_us) == (96, 64, 29 * 40_000)
    assert spooled.rows["frame_index"].tolist() == list(range(30))
    assert spooled.rows["pts_us"].tolist() == [40_000 * i for i in range(30)]
    content = spooled.jpegs.read_bytes()
    assert len(content) == record.jpeg_bytes
    for row in spooled.rows:
        assert simplejpeg.decode_jpeg(content[row["offset"] : row["offset"] + row["size"]]).shape == (64, 96, 3)
    assert spooled_frames(tmp_path) == 30


def test_stride_and_most_frames(small_clips: list[Path], tmp_path: Path) -> None:
    strided = spool_clip(job_of(small_clips[0]), DecodeSettings(frame_stride=7), tmp_path / "a")
    assert strided.rows["frame_index"].tolist() == [0, 7, 14, 21, 28]
    few = spool_clip(job_of(small_clips[0]), DecodeSettings(frame_stride=7, max_frames=2), tmp_path / "b")
    assert few.rows["frame_index"].tolist() == [0, 7]
    assert few.record.n_decoded == 8


@pytest.fixture(autouse=True)
def _folders(tmp_path: Path) -> None:
    for name in "ab":
        (tmp_path / name).mkdir()


def audio_only(path: Path) -> None:
    with av.open(str(path), "w") as container:
        stream = container.add_stream("aac", rate=16_000)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 16_000), np.float32), "fltp", "mono")
        frame.sample_rate, frame.pts, frame.time_base = 16_000, 0, Fraction(1, 16_000)
        container.mux(stream.encode(frame))
        container.mux(stream.encode())


def without_pictures(path: Path) -> None:
    """A sound container with a video stream of which no packet was written."""
    with av.open(str(path), "w", options={"movflags": "+empty_moov+default_base_moof"}) as container:
        stream = container.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 96, 64, "yuv420p"
        container.start_encoding()


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("empty", "cannot be decoded"),
        ("text", "cannot be decoded"),
        ("half", "decoded"),
        ("sound", "no video stream"),
        ("no picture", "holds no frame that can be decoded"),
    ],
)
def test_a_clip_that_is_no_video_fails_with_a_reason(
    small_clips: list[Path], tmp_path: Path, name: str, reason: str
) -> None:
    path = tmp_path / f"{name}.mp4"
    if name == "sound":
        audio_only(path)
    elif name == "no picture":
        without_pictures(path)
    else:
        whole = small_clips[0].read_bytes()
        path.write_bytes({"empty": b"", "text": b"no video at all" * 100, "half": whole[: len(whole) // 2]}[name])
    spooled = spool_clip(job_of(path), SETTINGS, tmp_path / "a")
    assert spooled.record.status == "failed"
    assert reason in spooled.record.reason
    assert not spooled.record.recoverable
    assert len(spooled.rows) == 0


def test_a_clip_that_lost_frames_fails(small_clips: list[Path], tmp_path: Path) -> None:
    record = spool_clip(job_of(small_clips[0], frames=300), SETTINGS, tmp_path).record
    assert record.status == "failed"
    assert "only 30 of 300 frames" in record.reason


def test_a_clip_that_is_gone_or_changed_may_come_back(small_clips: list[Path], tmp_path: Path) -> None:
    changed = spool_clip(replace(job_of(small_clips[0]), sha256="0" * 64), SETTINGS, tmp_path / "a").record
    assert changed.recoverable
    assert "not what the roster names" in changed.reason
    gone = spool_clip(replace(job_of(small_clips[0]), path=tmp_path / "gone.mp4"), SETTINGS, tmp_path / "b").record
    assert gone.recoverable
    assert "cannot be read" in gone.reason


def test_a_finished_clip_is_not_decoded_again(small_clips: list[Path], tmp_path: Path) -> None:
    job = job_of(small_clips[0])
    first = spool_clip(job, SETTINGS, tmp_path)
    again = spool_clip(replace(job, path=tmp_path / "gone.mp4"), SETTINGS, tmp_path)
    assert again.record == first.record
    assert np.array_equal(again.rows, first.rows)


@pytest.mark.parametrize("what", ["7.json", "7.npy", "7.jpegs"])
def test_a_damaged_spool_is_written_again(small_clips: list[Path], tmp_path: Path, what: str) -> None:
    job = job_of(small_clips[0])
    first = spool_clip(job, SETTINGS, tmp_path)
    content = first.jpegs.read_bytes()
    (tmp_path / what).write_bytes((tmp_path / what).read_bytes()[:-10])
    assert spool_clip(job, SETTINGS, tmp_path).record == first.record
    assert first.jpegs.read_bytes() == content


def test_a_clip_that_ends_its_process_alone_twice_is_given_up(small_clips: list[Path], tmp_path: Path) -> None:
    job = job_of(small_clips[0])
    (tmp_path / "7.begun").write_text("2")
    assert was_begun(job, tmp_path)
    record = spool_clip(job, SETTINGS, tmp_path, alone=True).record
    assert record.status == "failed"
    assert "ended the process that decodes it 2 times" in record.reason
    assert not was_begun(job, tmp_path)


def test_a_clip_that_was_interrupted_once_is_decoded(small_clips: list[Path], tmp_path: Path) -> None:
    (tmp_path / "7.begun").write_text("1")
    assert spool_clip(job_of(small_clips[0]), SETTINGS, tmp_path, alone=True).record.status == "ok"
