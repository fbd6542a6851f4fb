"""Decode + scale + JPEG against bare decoding and against the route through RGB, on the same real files.

    python benchmarks/decode_path.py --clips ../shared/data/clips/original

Each route is timed in CPU-seconds of one core, the routes in turn and the whole several times, best of each file: what
else runs on the machine disturbs all of them alike.

Colours: mean difference from the rounded route of the same frames, both through 4:2:0 JPEG at quality 100.

libswscale's fast conversion to RGB cuts off instead of rounding and darkens every channel by 1 to 2.4 of 255, more than
the one step that the store allows itself. The claim is against the route that keeps the colours; both are shown.
"""

from __future__ import annotations

import os
import resource
import shutil
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import av
import click
import cv2
import numpy as np
import simplejpeg
from av.video.reformatter import Interpolation, VideoReformatter
from support.report import Claim, report

from ssat.frames.encode import FrameEncoder, stored_size

SHORT_SIDE, QUALITY = 256, 90
Encode = Callable[[av.VideoFrame], object]


def bare() -> Encode:
    return lambda frame: None


def ours() -> Encode:
    return FrameEncoder(SHORT_SIDE, QUALITY).encode


def through_rgb(flags: Interpolation) -> Encode:
    reformatter = VideoReformatter()

    def encode(frame: av.VideoFrame) -> object:
        width, height = stored_size(frame.width, frame.height, SHORT_SIDE)
        image = reformatter.reformat(frame, width, height, "rgb24", interpolation=flags, threads=1)
        return simplejpeg.encode_jpeg(
            np.ascontiguousarray(image.to_ndarray()), QUALITY, "RGB", colorsubsampling="420", fastdct=False
        )

    return encode


def opencv() -> Encode:
    def encode(frame: av.VideoFrame) -> object:
        size = stored_size(frame.width, frame.height, SHORT_SIDE)
        image = cv2.resize(frame.to_ndarray(format="bgr24"), size, interpolation=cv2.INTER_AREA)
        return cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, QUALITY])

    return encode


ROUTES: dict[str, Callable[[], Encode]] = {
    "bare decoding": bare,
    "ours": ours,
    "through RGB, rounded": lambda: through_rgb(
        Interpolation.AREA | Interpolation.ACCURATE_RND | Interpolation.FULL_CHR_H_INT
    ),
    "through RGB, cut off": lambda: through_rgb(Interpolation.AREA),
    "OpenCV": opencv,
}


FFMPEG = "the ffmpeg program"


def ffmpeg_seconds(program: str, path: Path, most: int) -> float:
    """CPU-seconds of the program for the same frames: decode, scale, JPEG, written to a pipe that is read."""
    scale = f"scale='if(gt(iw,ih),-2,min({SHORT_SIDE},iw))':'if(gt(iw,ih),min({SHORT_SIDE},ih),-2)':flags=area"
    command = [program, "-loglevel", "error", "-threads", "1", "-i", os.fspath(path), "-an", "-frames:v", str(most)]
    # mjpeg's scale ends at 2 on its good side; 3 is about quality 90.
    command += [
        "-vf",
        f"{scale},format=yuvj420p",
        "-c:v",
        "mjpeg",
        "-q:v",
        "3",
        "-threads",
        "1",
        "-f",
        "image2pipe",
        "-",
    ]
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, stdout=subprocess.PIPE, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def seconds(path: Path, make: Callable[[], Encode], most: int) -> tuple[float, int]:
    """CPU-seconds and frames of the first `most` frames of one file by one route."""
    encode, frames = make(), 0
    began = time.process_time()
    with av.open(os.fspath(path)) as container:
        stream = container.streams.video[0]
        stream.codec_context.thread_count = 1
        for frame in container.decode(stream):
            encode(frame)
            frames += 1
            if frames == most:
                break
    return time.process_time() - began, frames


def colour_difference(path: Path, every: int, most: int) -> list[float]:
    """Mean difference of each `every`-th frame of ours from the rounded RGB route, of 255."""
    encoder, reformatter = FrameEncoder(SHORT_SIDE, 100), VideoReformatter()
    flags = Interpolation.AREA | Interpolation.ACCURATE_RND | Interpolation.FULL_CHR_H_INT
    differences = []
    with av.open(os.fspath(path)) as container:
        for number, frame in enumerate(container.decode(video=0)):
            if number == most:
                break
            if number % every:
                continue
            ours = encoder.encode(frame)
            image = reformatter.reformat(frame, ours.width, ours.height, "rgb24", interpolation=flags, threads=1)
            jpeg = simplejpeg.encode_jpeg(np.ascontiguousarray(image.to_ndarray()), 100, colorsubsampling="420")
            expected = simplejpeg.decode_jpeg(jpeg).astype(np.int16)
            differences.append(float(np.abs(simplejpeg.decode_jpeg(ours.jpeg) - expected).mean()))
    return differences


@click.command(help=__doc__)
@click.option("--clips", "folder", type=click.Path(path_type=Path), default=None, help="Folder of videos.")
@click.option("--files", default=20, show_default=True, help="Files, the first by name.")
@click.option("--frames", "most", default=60, show_default=True, help="Frames of each file, from its start.")
@click.option("--repeats", default=2, show_default=True, help="Runs of each file and route; the fastest counts.")
@click.option("--ffmpeg", default=None, help="The ffmpeg program; default: that of the system, if any.")
def main(folder: Path | None, files: int, most: int, repeats: int, ffmpeg: str | None) -> None:
    cv2.setNumThreads(1)
    folder = folder or Path(os.environ.get("SSAT_REAL_DATA", "../shared/data")) / "clips" / "original"
    paths = sorted(path for path in folder.glob("*") if path.suffix in {".mp4", ".mkv", ".avi"})[:files]
    if not paths:
        raise click.ClickException(f"{folder}: no videos; give a folder with --clips")
    program = ffmpeg or shutil.which("ffmpeg")
    names = [*ROUTES, *([FFMPEG] if program else [])]
    best = {(path, name): float("inf") for path in paths for name in names}
    frames = 0
    for repeat in range(repeats):
        for path in paths:
            for name, make in ROUTES.items():
                taken, counted = seconds(path, make, most)
                best[path, name] = min(best[path, name], taken)
                frames += counted if repeat == 0 and name == "bare decoding" else 0
            if program:
                best[path, FFMPEG] = min(best[path, FFMPEG], ffmpeg_seconds(program, path, most))
    colours = [difference for path in paths for difference in colour_difference(path, 20, most)]
    totals = {name: sum(best[path, name] for path in paths) for name in names}
    rows = [
        {
            "route": name,
            "CPU s": round(total, 2),
            "frames/s": round(frames / total),
            "share of bare decoding": round(totals["bare decoding"] / total, 3),
            "times rounded RGB": round(totals["through RGB, rounded"] / total, 2),
            "times cut-off RGB": round(totals["through RGB, cut off"] / total, 2),
        }
        for name, total in totals.items()
    ]
    report(
        "decode_path",
        f"{len(paths)} files of {folder.name}/, {frames} frames, CPU-seconds of one core, best of {repeats}; colours "
        f"{np.mean(colours):.2f} of 255 from the rounded RGB route",
        rows,
        [
            Claim("share of bare decoding", totals["bare decoding"] / totals["ours"], 0.65),
            Claim("times the RGB route", totals["through RGB, rounded"] / totals["ours"], 1.2),
            Claim("mean colour difference, in 255ths", float(np.mean(colours)), at_most=1),
        ],
    )


if __name__ == "__main__":
    main()
