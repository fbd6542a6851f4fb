"""Frames of a stream (RTSP, HTTP) or a camera: they arrive at an irregular rate and may pause."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np

from ssat.errors import InputError
from ssat.video.display_matrix import upright_rgb
from ssat.video.sources import FrameSource, Image, NumberedFrame
from ssat.video.untrusted import VideoError, main_stream

SCHEMES = ("rtsp", "rtsps", "http", "https")
_TIMEOUT = 5.0  # seconds without a byte until a connection counts as dropped
_PAUSES = (0.2, 0.5, 1.0, 2.0)  # seconds between attempts to connect
# A playlist that is served may name other addresses, but never files of this machine.
_PROTOCOLS = "http,https,httpproxy,tls,tcp,udp,rtp,rtsp,crypto"


def is_stream(address: str) -> bool:
    """Return whether `address` names a stream or, as a whole number, a camera; an existing path `0000` is a path."""
    return (address.isdecimal() and not Path(address).exists()) or urlsplit(address).scheme.lower() in SCHEMES


@dataclass
class StreamSource:
    """A stream, connected to again when it drops.

    Frames are numbered by the clock, 1 at the first: what was missed is left out, so a tracker loses its tracks as
    long as no frame arrived. A stream with a known length (a file on a server) is numbered frame by frame and ends
    where it ends.

    Attributes:
        patience: seconds to wait for a stream that dropped before it counts as ended.
        notes: what happened on the way, for people.
    """

    name: str
    frame_rate: float
    address: str
    patience: float = 15.0
    n_frames: int | None = None
    notes: list[str] = field(default_factory=list)

    @classmethod
    def open(cls, address: str, frame_rate: float | None = None, patience: float = 15.0) -> StreamSource:
        """Connect once to learn the frame rate.

        Raises:
            InputError: it cannot be reached, or holds no video.
        """
        import av

        try:
            with _connected(address) as container:
                stream = main_stream(container)
                rate = frame_rate or stream.average_rate or stream.guessed_rate
                n_frames = int(stream.frames) or None
        except VideoError as error:
            raise InputError(f"{shown(address)}: {error}; expected an address that serves video") from error
        except (av.FFmpegError, OSError) as error:
            raise InputError(f"{shown(address)}: no stream that can be read ({_reason(error, address)})") from error
        if not rate:
            raise InputError(f"{shown(address)}: states no frame rate; set it with setting `frame_rate`")
        return cls(_name(address), float(rate), address, patience, n_frames)

    def __iter__(self) -> Iterator[NumberedFrame]:
        import av

        number, first, last, attempt, drops = 0, 0.0, time.monotonic(), 0, 0
        while True:
            try:
                with _connected(self.address) as container:
                    finite = bool(container.duration and container.duration > 0)
                    for frame in container.decode(main_stream(container)):
                        last = time.monotonic()
                        if not number:
                            first = last
                        elapsed = 1 + round((last - first) * self.frame_rate)
                        # Frames often come in bursts: the clock only counts where it runs ahead by more than a jitter.
                        behind = not finite and elapsed > number + self.frame_rate / 2
                        number = elapsed if behind else number + 1
                        attempt = 0
                        yield number, upright_rgb(frame)
                if finite:
                    return
                reason = "it ended"
            except (av.FFmpegError, OSError, VideoError) as error:
                reason = _reason(error, self.address)
            waited = time.monotonic() - last
            if waited > self.patience:
                if not number:
                    raise InputError(f"{shown(self.address)}: no frame within {self.patience:g} s ({reason})")
                self.notes.append(f"the stream dropped after frame {number} ({reason}) and did not return")
                return
            if attempt == 0 and number:
                drops += 1
                self.notes.append(f"the stream dropped after frame {number} ({reason}); connected again")
            time.sleep(_PAUSES[min(attempt, len(_PAUSES) - 1)])
            attempt += 1


@dataclass
class CameraSource:
    """A camera of this machine, by its index."""

    name: str
    frame_rate: float
    index: int
    n_frames: int | None = None

    @classmethod
    def open(cls, index: int, frame_rate: float | None = None) -> CameraSource:
        """Open it once to learn the frame rate. Raises InputError if there is no such camera."""
        camera = _camera(index)
        import cv2

        rate = frame_rate or camera.get(cv2.CAP_PROP_FPS)
        camera.release()
        if not rate or rate <= 0:
            raise InputError(f"camera {index}: states no frame rate; set it with setting `frame_rate`")
        return cls(f"camera-{index}", float(rate), index)

    def __iter__(self) -> Iterator[NumberedFrame]:
        import cv2

        camera = _camera(self.index)
        try:
            first, number = time.monotonic(), 0
            while True:
                good, image = camera.read()
                if not good:
                    raise InputError(f"camera {self.index}: gives no more frames after frame {number}")
                number = max(number + 1, 1 + round((time.monotonic() - first) * self.frame_rate))
                rgb: Image = cv2.cvtColor(image, cv2.COLOR_BGR2RGB).astype(np.uint8, copy=False)
                yield number, rgb
        finally:
            camera.release()


def read_latest(source: FrameSource) -> Iterator[NumberedFrame]:
    """Yield the newest frame of `source` each time one is asked for; older ones that were not taken are skipped.

    This bounds the delay to one frame, however slow the consumer is. For sources that are numbered by the clock.
    """
    ready = threading.Condition()
    box: list[NumberedFrame] = []
    ended: list[BaseException | None] = []
    stop = threading.Event()

    def read() -> None:
        error: BaseException | None = None
        try:
            for frame in source:
                with ready:
                    box[:] = [frame]
                    ready.notify()
                if stop.is_set():
                    break
        except BaseException as caught:  # noqa: BLE001 - raised again where the frames are consumed
            error = caught
        with ready:
            ended.append(error)
            ready.notify()

    thread = threading.Thread(target=read, name=f"read-{source.name}", daemon=True)
    thread.start()
    try:
        while True:
            with ready:
                ready.wait_for(lambda: box or ended)
                if not box:
                    break
                frame = box.pop()
            yield frame
        if ended[0] is not None:
            raise ended[0]
    finally:
        # Not joined: a read may wait for the network for seconds, and no data is lost.
        stop.set()


def shown(address: str) -> str:
    """Return the address without user, password and query, which may be secret."""
    parts = urlsplit(address)
    host = parts.hostname or ""
    return f"{parts.scheme}://{host}{f':{parts.port}' if parts.port else ''}{parts.path}"


def _name(address: str) -> str:
    parts = urlsplit(address)
    text = f"{parts.hostname or 'stream'}{parts.path}".rsplit(".", 1)[0] if "." in parts.path else shown(address)[7:]
    return re.sub(r"[^A-Za-z0-9_-]+", "-", text).strip("-")[:80] or "stream"


def _reason(error: Exception, address: str) -> str:
    # FFmpeg puts the whole address into its messages.
    return str(error).replace(address, shown(address))


def _connected(address: str) -> Any:
    import av

    options = {"protocol_whitelist": _PROTOCOLS}
    if address.lower().startswith("rtsp"):
        options["rtsp_transport"] = "tcp"
    return av.open(address, options=options, timeout=(_TIMEOUT, _TIMEOUT))


def _camera(index: int) -> Any:
    import cv2

    # OpenCV reports every backend that has no such camera; the error below reports it once.
    level = cv2.utils.logging.getLogLevel()
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
    try:
        camera = cv2.VideoCapture(index)
    finally:
        cv2.utils.logging.setLogLevel(level)
    if not camera.isOpened():
        raise InputError(f"camera {index}: there is no such camera, or another program uses it")
    return camera
