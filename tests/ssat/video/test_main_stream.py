"""Of several video streams every way to read a video takes the largest, which is no cover."""

from pathlib import Path

import av
import numpy as np
import pytest
import simplejpeg
from av.stream import Disposition

from ssat.errors import InputError
from ssat.frames.clip import ClipJob, spool_clip
from ssat.frames.settings import DecodeSettings
from ssat.video.sources import VideoSource
from ssat.video.untrusted import open_video
from ssat.workspace import sha256_of

_LARGE, _SMALL = (160, 96), (64, 48)
_PLAIN, _COVER = Disposition(0), Disposition.attached_pic


def _video(path: Path, *streams: tuple[tuple[int, int], Disposition]) -> Path:
    """Five frames in each stream, one in a cover."""
    with av.open(str(path), "w") as output:
        added = []
        for (width, height), disposition in streams:
            cover = disposition == _COVER
            codec, pixels = ("mjpeg", "yuvj420p") if cover else ("mpeg4", "yuv420p")
            stream = output.add_stream(codec, rate=25, width=width, height=height, pix_fmt=pixels)
            stream.disposition = disposition
            added.append(stream)
        for number in range(5):
            for stream, (_, disposition) in zip(added, streams, strict=True):
                if disposition == _COVER and number:
                    continue
                picture = np.full((stream.height, stream.width, 3), 50 * number, np.uint8)
                output.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        for stream in added:
            output.mux(stream.encode(None))
    return path


_CASES = {
    "large first": ((_LARGE, _PLAIN), (_SMALL, _PLAIN)),
    "large second": ((_SMALL, _PLAIN), (_LARGE, _PLAIN)),
    "larger cover": (((320, 192), _COVER), (_LARGE, _PLAIN)),
}


@pytest.mark.parametrize("case", list(_CASES))
def test_the_largest_stream_is_read_everywhere(tmp_path: Path, case: str) -> None:
    # An mp4 makes its first stream the default, which ffmpeg prefers; Matroska holds no covers of this kind.
    path = _video(tmp_path / ("two.mp4" if "cover" in case else "two.mkv"), *_CASES[case])
    container, chosen = open_video(path)
    with container:
        assert (chosen.codec_context.width, chosen.codec_context.height) == _LARGE
    assert [image.shape for _, image in VideoSource.open(path)] == [(96, 160, 3)] * 5
    clip = spool_clip(ClipJob(0, "two", path, sha256_of(path), 5), DecodeSettings(), tmp_path)
    assert (clip.record.status, clip.record.n_frames) == ("ok", 5), clip.record.reason
    assert simplejpeg.decode_jpeg(clip.jpegs.read_bytes()).shape == (96, 160, 3)


def test_a_file_with_sound_alone_is_refused(tmp_path: Path) -> None:
    with av.open(str(tmp_path / "sound.mp4"), "w") as output:
        sound = output.add_stream("aac", rate=16000, layout="mono")
        samples = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
        samples.sample_rate = 16000
        output.mux(sound.encode(samples))
        output.mux(sound.encode(None))
    with pytest.raises(InputError, match=r"sound\.mp4: no video stream, only sound"):
        VideoSource.open(tmp_path / "sound.mp4")
