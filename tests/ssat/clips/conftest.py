"""Videos whose frames say their own number, and a real web server on loopback."""

import http.server
import os
import shutil
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import av
import numpy as np
import pytest

from ssat.clips import attempts
from ssat.clips.trimmers import Trimmers

BITS = 10


def number_picture(number: int, width: int, height: int, tint: int) -> np.ndarray:
    """RGB (height, width, 3) uint8: `number` in BITS black or white columns, most significant first."""
    picture = np.full((height, width, 3), tint, np.uint8)
    for bit in range(BITS):
        column = slice(bit * width // BITS, (bit + 1) * width // BITS)
        picture[: height // 2, column] = 255 if number >> (BITS - 1 - bit) & 1 else 0
    return picture


def read_number(picture: np.ndarray) -> int:
    """The number that a picture of `number_picture` shows."""
    height, width = picture.shape[:2]
    middle = [picture[height // 4, int((bit + 0.5) * width / BITS)].mean() > 128 for bit in range(BITS)]
    return sum(1 << (BITS - 1 - bit) for bit, white in enumerate(middle) if white)


@pytest.fixture
def shown_numbers() -> Callable[[Path], list[int]]:
    """Reads the numbers of all frames of a video."""

    def read(path: Path) -> list[int]:
        with av.open(str(path)) as container:
            return [read_number(frame.to_ndarray(format="rgb24")) for frame in container.decode(video=0)]

    return read


class _LastingTrimmers(Trimmers):
    """Real processes that trim, which go on to the next collector: starting them takes longer than what tests trim."""

    def close(self) -> None:
        """Left to the end of the session: the collector waits for its clips before it closes."""


@pytest.fixture(scope="session", autouse=True)
def _lasting_trimmers() -> Iterator[None]:
    pools: dict[int, _LastingTrimmers] = {}

    def pool_of(count: int) -> _LastingTrimmers:
        return pools.setdefault(count, _LastingTrimmers(count))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(attempts, "Trimmers", pool_of)
        yield
    for pool in pools.values():
        Trimmers.close(pool)


@contextmanager
def _scheduled_as_before() -> Iterator[None]:
    """SVT-AV1 gives the thread that calls it the highest real-time priority, where it may; this takes it back.

    Everything started later would inherit it, and starve whatever else runs.
    """
    policy, parameter = os.sched_getscheduler(0), os.sched_getparam(0)
    try:
        yield
    finally:
        os.sched_setscheduler(0, policy, parameter)


@pytest.fixture
def make_video(tmp_path: Path) -> Callable[..., Path]:
    """Writes a real video: `frames` numbered frames at `fps`, with or without sound, rotation, other codecs."""

    def make(
        name: str = "video.mp4",
        *,
        frames: int = 120,
        fps: int = 30,
        size: tuple[int, int] = (320, 192),
        codec: str = "libx264",
        sound: bool = False,
        rotation: int = 0,
        tint: int = 90,
        folder: Path | None = None,
    ) -> Path:
        path = (folder or tmp_path) / name
        path.parent.mkdir(parents=True, exist_ok=True)
        with _scheduled_as_before(), av.open(str(path), "w") as output:
            video = output.add_stream(codec, rate=fps, width=size[0], height=size[1], pix_fmt="yuv420p")
            video.codec_context.gop_size = 50  # a start between key frames has to be reached by decoding
            if codec == "libx264":
                video.options = {"preset": "ultrafast", "crf": "25"}
            if rotation:
                video.set_display_rotation(rotation)
            audio = output.add_stream("aac", rate=16000, layout="mono") if sound else None
            for number in range(frames):
                frame = av.VideoFrame.from_ndarray(number_picture(number, *size, tint), format="rgb24")
                output.mux(video.encode(frame))
            output.mux(video.encode(None))
            if audio is not None:
                for _ in range(int(frames / fps * 16000 / 1024)):
                    samples = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
                    samples.sample_rate = 16000
                    output.mux(audio.encode(samples))
                output.mux(audio.encode(None))
        return path

    return make


@pytest.fixture
def make_sound(tmp_path: Path) -> Callable[[str], Path]:
    """Writes an mp4 that has sound and no pictures."""

    def make(name: str = "sound.mp4", folder: Path | None = None) -> Path:
        path = (folder or tmp_path) / name
        with av.open(str(path), "w") as output:
            audio = output.add_stream("aac", rate=16000, layout="mono")
            for _ in range(80):
                samples = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
                samples.sample_rate = 16000
                output.mux(audio.encode(samples))
            output.mux(audio.encode(None))
        return path

    return make


class Site:
    """A folder served over HTTP. `/status/<code>/…` answers with that code; `fail[name]` breaks first answers off."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.requests: Counter[str] = Counter()
        self.agents: set[str] = set()
        self.cookies: set[str] = set()
        self.fail: dict[str, int] = {}
        self.types: dict[str, str] = {}  # Content-Type by file name, where it is not that of the suffix
        self.url = ""

    def add(self, path: Path, name: str | None = None) -> None:
        """Serve a copy of `path`."""
        shutil.copy(path, self.folder / (name or path.name))


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    """A web server on loopback in a thread of this process."""
    folder = tmp_path / "site"
    folder.mkdir()
    served = Site(folder)

    class Handler(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *args: object) -> None:
            super().__init__(*args, directory=str(folder))  # type: ignore[arg-type]

        def do_GET(self) -> None:
            name = self.path.rsplit("/", 1)[-1]
            served.requests[name] += 1
            served.agents.add(self.headers.get("User-Agent", ""))
            served.cookies.add(self.headers.get("Cookie", ""))
            if self.path.startswith("/status/"):
                self.send_error(int(self.path.split("/")[2]))
            elif served.fail.get(name, 0) > 0:
                served.fail[name] -= 1
                self.send_response(200)
                self.send_header("Content-Type", "video/mp4")
                self.send_header("Content-Length", "100000")
                self.end_headers()
                self.wfile.write(b"\0" * 2000)  # and hang up: a short read
                self.close_connection = True
            else:
                super().do_GET()

        def guess_type(self, path: object) -> str:
            return served.types.get(Path(str(path)).name) or super().guess_type(path)  # type: ignore[arg-type]

        def log_message(self, *args: object) -> None: ...

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    served.url = f"http://127.0.0.1:{server.server_port}"
    yield served
    server.shutdown()
    server.server_close()
    thread.join()
