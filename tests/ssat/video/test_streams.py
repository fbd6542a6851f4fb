"""Streams over a real local HTTP server that drops the connection and comes back."""

import http.server
import io
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import av
import numpy as np
import pytest

from ssat.errors import InputError
from ssat.video.streams import CameraSource, StreamSource, is_stream, read_latest, shown


def _transport_stream(n_frames: int, brightness: int = 60) -> bytes:
    content = io.BytesIO()
    with av.open(content, "w", format="mpegts") as container:
        stream = container.add_stream("mpeg2video", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for index in range(n_frames):
            picture = np.full((48, 64, 3), brightness + index, np.uint8)
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame.pts = index
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return content.getvalue()


Serve = Callable[..., str]


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Starts a server whose answers are, request by request, the contents given; 503 afterwards."""
    servers = []

    def start(*contents: bytes, length: bool = False) -> str:
        left = list(contents)

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                if not left:
                    self.send_error(503)
                    return
                content = left.pop(0)
                self.send_response(200)
                self.send_header("Content-Type", "video/mp2t")
                if length:
                    self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, *_: object) -> None:
                pass

        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        servers.append(server)
        return f"http://user:secret@127.0.0.1:{server.server_address[1]}/street.ts?token=hidden"

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


def test_a_stream_that_drops_and_returns_goes_on_and_says_so(serve: Serve) -> None:
    content = _transport_stream(20)
    source = StreamSource.open(serve(content, content, content[: len(content) // 2], content))
    source.patience = 1.0
    assert (source.frame_rate, source.name) == (25.0, "127-0-0-1-street")
    numbers, previous = [], 0
    for number, image in source:
        assert number > previous
        previous = number
        numbers.append(number)
        assert image.shape == (48, 64, 3)
    assert len(numbers) > 45, "20, some of 20, and 20 frames"
    assert any("connected again" in note for note in source.notes)
    assert "did not return" in source.notes[-1]
    assert "secret" not in str(source.notes)
    assert "hidden" not in str(source.notes)


def test_the_time_that_nobody_saw_is_left_out_of_the_numbers(serve: Serve) -> None:
    content = _transport_stream(10)
    source = StreamSource.open(serve(content, content, b"", b"", content))
    source.patience = 2.0
    numbers = [number for number, _ in source]
    gaps = np.diff(numbers)
    # Two failed attempts pause for 0.2 and 0.5 s: more than 15 frames at 25 a second.
    assert gaps.max() > 12
    assert (gaps >= 1).all()


def test_what_cannot_be_reached_is_named_without_its_secrets(serve: Serve, capfd: pytest.CaptureFixture[str]) -> None:
    for address in (serve(), serve(b"no video" * 500)):
        with pytest.raises(InputError, match=r"http://127.0.0.1:\d+/street.ts: no stream") as caught:
            StreamSource.open(address)
        assert "secret" not in str(caught.value)
        assert "hidden" not in str(caught.value)
    with pytest.raises(InputError, match="camera 99: there is no such camera"):
        CameraSource.open(99)
    assert "OpenCV" not in capfd.readouterr().err


def test_a_playlist_cannot_reach_files_of_this_machine(serve: Serve, tmp_path: Path) -> None:
    (tmp_path / "private.ts").write_bytes(_transport_stream(10))
    playlist = f"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:0.4,\nfile://{tmp_path}/private.ts\n#EXT-X-ENDLIST\n"
    with pytest.raises(InputError, match="no stream that can be read"):
        StreamSource.open(serve(playlist.encode()).replace("street.ts", "street.m3u8"))


def test_addresses() -> None:
    assert is_stream("rtsp://cam/1")
    assert is_stream("HTTPS://host/live.m3u8")
    assert is_stream("0")
    assert not is_stream("street.mp4")
    assert not is_stream("C:/street.mp4")
    assert not is_stream("file:///etc/passwd")
    assert shown("rtsp://me:pw@cam:554/live?key=1") == "rtsp://cam:554/live"


class _Fast:
    name, frame_rate, n_frames = "fast", 100.0, 50

    def __iter__(self) -> Iterator[tuple[int, np.ndarray]]:
        for number in range(1, 51):
            time.sleep(0.002)
            yield number, np.zeros((2, 2, 3), np.uint8)


def test_only_the_newest_frame_is_taken_however_slow_the_consumer() -> None:
    seen = []
    for number, _ in read_latest(_Fast()):
        seen.append(number)
        time.sleep(0.02)
    assert seen == sorted(set(seen))
    assert len(seen) < 25
    assert seen[-1] == 50, "the last one is never left out"

    class Broken(_Fast):
        def __iter__(self) -> Iterator[tuple[int, np.ndarray]]:
            yield 1, np.zeros((2, 2, 3), np.uint8)
            raise InputError("unplugged")

    with pytest.raises(InputError, match="unplugged"):
        list(read_latest(Broken()))
