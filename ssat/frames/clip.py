"""One clip on disk → its encoded frames in a spool file, or the reason why there are none."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import secrets
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np
from av.video.frame import VideoFrame
from numpy.typing import NDArray

from ssat.frames.encode import FrameEncoder
from ssat.frames.manifest import ClipRecord
from ssat.frames.schema import MAX_FRAME_INDEX
from ssat.frames.settings import DecodeSettings
from ssat.remote import AnyPath
from ssat.video.display_matrix import Orientation
from ssat.video.untrusted import VideoError, main_stream

# Where each JPEG of a spool file lies, and the columns of its row but the clip's.
SPOOL_ROW = np.dtype(
    [
        ("frame_index", "<i2"),
        ("width", "<i2"),
        ("height", "<i2"),
        ("pts_us", "<i8"),
        ("offset", "<i8"),
        ("size", "<i8"),
    ]
)

# Fewer frames than this share of the roster's count mean a damaged clip.
_MIN_SHARE = 0.9
_MAX_SIDE = 2**15 - 1
# 4K. A decoder keeps up to 16 reference frames and a few more; a task states its memory by this bound.
MAX_PIXELS = 4096 * 2304
_MAX_DEATHS = 2
_NPY_HEADER = 256
# The header of an .npy file is read by ast.parse, which now and then raises SystemError in Python 3.11 if several
# threads call it at the same time.
_parsing = threading.Lock()


@dataclass(frozen=True)
class ClipJob:
    """A roster row with its path resolved: the clip that is to be decoded."""

    class_id: int
    clip_id: str
    path: AnyPath
    sha256: str
    n_frames: int


@dataclass(frozen=True)
class SpooledClip:
    """A decoded clip on its way into a shard: its record, `SPOOL_ROW` rows and the file of its JPEGs."""

    record: ClipRecord
    rows: NDArray[np.void]
    jpegs: Path


class _UnusableError(Exception):
    """Reason why a clip has no frames in the store; the text is stored in clips.parquet."""

    recoverable = False


class _NotWholeError(_UnusableError):
    """The file is missing or not the one that the roster names."""

    recoverable = True


def spool_clip(job: ClipJob, settings: DecodeSettings, folder: Path, alone: bool = False) -> SpooledClip:
    """Decode and encode a clip into `folder`, or take what an earlier run left there.

    A clip that cannot be decoded gives a record with status "failed" and no rows; it raises nothing. So does one that
    ended its process before: a mark says that work on it was begun and never ended, and how often it was `alone` in
    its process then. The folder must belong to one shard key, which covers the clip's digest and the settings.

    Raises:
        OSError: the spool file cannot be written (disk full, no permission).
    """
    facts, jpegs = folder / f"{job.class_id}.json", folder / f"{job.class_id}.jpegs"
    earlier = _load(facts, jpegs)
    if earlier is not None:
        return earlier
    own = f".{os.getpid()}-{secrets.token_hex(3)}.partial"  # no other machine's worker has this name
    partial = jpegs.with_suffix(own)
    mark = _mark(job, folder)
    deaths = deaths_alone(job, folder)
    try:
        try:
            if deaths >= _MAX_DEATHS:
                raise _UnusableError(f"ended the process that decodes it {deaths} times")
            mark.write_text(str(deaths + alone), encoding="utf-8")
            record, rows = _decode(job, settings, partial)
        except _UnusableError as problem:
            record, rows = _failed(job, str(problem), problem.recoverable), np.empty(0, SPOOL_ROW)
            partial.write_bytes(b"")
        partial.replace(jpegs)
    finally:
        partial.unlink(missing_ok=True)
    np.save(folder / f"{job.class_id}.npy", rows, allow_pickle=False)
    # The facts are written last: with them the other two files are complete.
    content = {"record": record.model_dump(mode="json"), "jpegs": jpegs.stat().st_size}
    temporary = facts.with_suffix(own)
    temporary.write_text(json.dumps(content), encoding="utf-8")
    temporary.replace(facts)
    mark.unlink(missing_ok=True)
    return SpooledClip(record, rows, jpegs)


def count_frames(job: ClipJob, settings: DecodeSettings) -> int:
    """Decode and encode a clip as `spool_clip` does, discard the JPEGs, return the frames; 0 if it fails."""
    try:
        return _decode(job, settings, Path(os.devnull))[0].n_frames
    except _UnusableError:
        return 0


def was_begun(job: ClipJob, folder: Path) -> bool:
    """Return whether a process began this clip and did not come to its end."""
    return _mark(job, folder).exists()


def deaths_alone(job: ClipJob, folder: Path) -> int:
    """Return how many processes ended while this clip was the only one they decoded."""
    try:
        return int(_mark(job, folder).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return 0


def spooled_frames(folder: Path) -> int:
    """Return frames of the clips that are whole in `folder`: for progress."""
    sizes = (path.stat().st_size for path in folder.glob("*.npy"))
    return sum(max(0, size - _NPY_HEADER) // SPOOL_ROW.itemsize for size in sizes)


def _mark(job: ClipJob, folder: Path) -> Path:
    return folder / f"{job.class_id}.begun"


def _load(facts: Path, jpegs: Path) -> SpooledClip | None:
    try:
        content = json.loads(facts.read_text(encoding="utf-8"))
        if content["jpegs"] != jpegs.stat().st_size:
            return None
        with _parsing:
            rows = np.load(facts.with_suffix(".npy"), allow_pickle=False)
        record = ClipRecord.model_validate(content["record"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return SpooledClip(record, rows, jpegs) if rows.dtype == SPOOL_ROW and len(rows) == record.n_frames else None


def _failed(job: ClipJob, reason: str, recoverable: bool = False) -> ClipRecord:
    return ClipRecord(
        class_id=job.class_id,
        clip_id=job.clip_id,
        status="failed",
        reason=reason,
        recoverable=recoverable,
        source_sha256=job.sha256,
    )


@contextmanager
def _local(job: ClipJob) -> Iterator[Path]:
    """Yield the clip's file, or a temporary copy of it from an object store."""
    if isinstance(job.path, Path):
        yield job.path
        return
    with tempfile.TemporaryDirectory(prefix="ssat-clip-") as folder:
        copy = Path(folder) / "clip.mp4"
        with contextlib.suppress(FileNotFoundError):  # its check says so
            job.path.download(copy)
        yield copy


def _decode(job: ClipJob, settings: DecodeSettings, spool: Path) -> tuple[ClipRecord, NDArray[np.void]]:
    with _local(job) as path:
        return _decode_file(job, path, settings, spool)


def _decode_file(
    job: ClipJob, path: Path, settings: DecodeSettings, spool: Path
) -> tuple[ClipRecord, NDArray[np.void]]:
    _check_content(job, path)
    encoder = FrameEncoder(settings.short_side, settings.quality)
    rows: list[tuple[int, int, int, int, int, int]] = []
    decoded, offset = 0, 0
    first_pts = last_pts = 0
    try:
        with av.open(os.fspath(path)) as container, spool.open("wb") as file:
            stream = main_stream(container)
            if stream.codec_context.width * stream.codec_context.height > MAX_PIXELS:
                raise _UnusableError(
                    f"{stream.codec_context.width}x{stream.codec_context.height} pixels are more than the {MAX_PIXELS} "
                    "that the memory of a decoding task is made for"
                )
            # One thread per clip: clips run concurrently, with the same frames.
            stream.codec_context.thread_count = 1
            aspect = _pixel_aspect(stream.codec_context.sample_aspect_ratio)
            for frame in container.decode(stream):
                pts_us = _pts_us(frame, decoded, stream.average_rate)
                if decoded == 0:
                    first_pts = pts_us
                last_pts = max(last_pts, pts_us - first_pts)
                if decoded % settings.frame_stride == 0:
                    if frame.width > _MAX_SIDE or frame.height > _MAX_SIDE or frame.width * frame.height > MAX_PIXELS:
                        raise _UnusableError(f"frame {decoded} is {frame.width}x{frame.height}: too large")
                    image = encoder.encode(frame, Orientation.of(frame), aspect)
                    file.write(image.jpeg)
                    size = len(image.jpeg)
                    rows.append((decoded, image.width, image.height, pts_us - first_pts, offset, size))
                    offset += size
                decoded += 1
                if len(rows) == settings.max_frames or decoded > MAX_FRAME_INDEX:
                    break
    except VideoError as error:
        raise _UnusableError(str(error)) from error
    except (av.error.FFmpegError, ValueError) as error:
        raise _UnusableError(f"frame {decoded} cannot be decoded: {error}") from error
    if not rows:
        raise _UnusableError("holds no frame that can be decoded")
    complete = len(rows) != settings.max_frames and decoded <= MAX_FRAME_INDEX
    if complete and decoded < _MIN_SHARE * job.n_frames:
        raise _UnusableError(f"only {decoded} of {job.n_frames} frames can be decoded")
    record = ClipRecord(
        class_id=job.class_id,
        clip_id=job.clip_id,
        status="ok",
        n_frames=len(rows),
        n_decoded=decoded,
        width=rows[0][1],
        height=rows[0][2],
        duration_us=last_pts,
        jpeg_bytes=offset,
        source_sha256=job.sha256,
    )
    return record, np.array(rows, SPOOL_ROW)


def _check_content(job: ClipJob, path: Path) -> None:
    try:
        with path.open("rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise _NotWholeError(f"cannot be read: {error.strerror}") from error
    if found != job.sha256:
        raise _NotWholeError(
            f"its content is not what the roster names (SHA-256 {found[:12]}…, not {job.sha256[:12]}…)"
        )


def _pixel_aspect(ratio: object) -> float:
    """Return width / height of a pixel; 1 if the file states none or an absurd one, or one pixel in a width.

    Trimming to an even width leaves ratios like 455:456 behind: following them costs a resampling and shows nothing.
    """
    value = float(ratio) if ratio else 1.0  # type: ignore[arg-type]
    return value if 0.2 <= value <= 5.0 and abs(value - 1) > 0.02 else 1.0


def _pts_us(frame: VideoFrame, index: int, rate: object) -> int:
    if frame.pts is not None and frame.time_base is not None:
        return round(frame.pts * frame.time_base * 1_000_000)
    return round(index * 1_000_000 / (float(rate) if rate else 30.0))  # type: ignore[arg-type]
