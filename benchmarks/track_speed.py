"""Where the time goes when a real sequence is tracked end to end, with and without caches.

    python benchmarks/track_speed.py --sequence MOT17/train/MOT17-09-FRCNN [--embedder FILE] [--frames 150]
        [--precision auto] [--embed-every 4]

Reads frames, embeds the public detections, associates, and writes text, table and video, each stage in its thread, as
`ssat track` does. Prints frames per second by stage, patches per second and the share of the time in which the main
thread waits. A second pass takes the features from the first one. On a GPU with a checkpoint (--checkpoint) the
refinement runs too, and has to be ten times the paper's 3.2 fps.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from support.report import Claim, report

from ssat.embedding.embedder import Embedder
from ssat.mot.sequence import MotSequence
from ssat.pipeline.background import Background
from ssat.pipeline.inputs import TrackInput
from ssat.pipeline.outputs import TrackFiles
from ssat.pipeline.pipeline import track_frames
from ssat.pipeline.run import input_pipeline
from ssat.tracking import Tracker

_STAGES = ("read", "detect", "patches", "embed", "associate", "draw")


def opened(sequence: MotSequence, frames: range) -> TrackInput:
    return TrackInput(
        sequence.name, sequence.frame_rate, sequence.frame_source(frames), frames, sequence.detections().within(frames)
    )


def end_to_end(
    given: TrackInput, embedder: Embedder, every: int, detector: Any = None
) -> tuple[dict[str, Any], np.ndarray]:
    """One pass; the row of the table, and the features."""
    tracker = Tracker(frame_rate=given.frame_rate)
    run = input_pipeline(given, tracker, embedder, detector=detector, public=detector is not None, embed_every=every)
    n_frames = n_patches = 0
    features = []
    began, cpu = time.perf_counter(), time.process_time()
    with tempfile.TemporaryDirectory() as folder:
        files = TrackFiles(Path(folder), given.name, video=given.frame_rate)
        with files, Background(files.write) as writer:
            for frame, tracks in run:
                writer.submit(frame.number, frame.image, tracks)
                n_frames += 1
                n_patches += len(frame.detections)
                if frame.features is not None:
                    features.append(frame.features)
        run.seconds.draw = writer.seconds
    elapsed, used = time.perf_counter() - began, time.process_time() - cpu
    rates = run.seconds.rates(n_frames)
    row = {"pass": "everything computed", "fps": f"{n_frames / elapsed:.1f}"}
    row |= {stage: f"{rates[stage]:.0f}" if stage in rates else "–" for stage in _STAGES}
    row["patches/s"] = f"{n_patches / run.seconds.embed:.0f}" if run.seconds.embed else "–"
    row["taken over"] = f"{100 * run.reuse.reused / run.reuse.total:.0f} %"
    row["waiting"] = f"{100 * (1 - run.seconds.working / elapsed):.0f} %"
    row["CPU-s a frame"] = f"{used / n_frames:.3f}"
    return row, np.concatenate(features)


def cached(given: TrackInput, features: np.ndarray) -> dict[str, Any]:
    """Association on features that are known, as another threshold would need it."""
    assert given.detections is not None
    began, cpu = time.perf_counter(), time.process_time()
    frames = ((number, None) for number in given.numbers or ())
    tracked = track_frames(frames, given.detections, Tracker(frame_rate=given.frame_rate), features=features)
    elapsed, used = time.perf_counter() - began, time.process_time() - cpu
    row = {"pass": "features from the cache", "fps": f"{tracked.n_frames / elapsed:.0f}"}
    row |= dict.fromkeys(_STAGES, "–") | {"associate": f"{tracked.n_frames / tracked.seconds.associate:.0f}"}
    return row | {
        "patches/s": "–",
        "taken over": "–",
        "waiting": "0 %",
        "CPU-s a frame": f"{used / tracked.n_frames:.5f}",
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    data = Path(os.environ.get("SSAT_REAL_DATA", "../shared/data")) / "mot" / "MOT17/train/MOT17-09-FRCNN"
    parser.add_argument("--sequence", type=Path, default=data)
    parser.add_argument("--embedder", type=Path)
    parser.add_argument("--checkpoint", type=Path)
    parser.add_argument("--frames", type=int, default=150)
    parser.add_argument("--precision", choices=("auto", "float32", "bfloat16"), default="float32")
    parser.add_argument("--embed-every", type=int, default=1)
    options = parser.parse_args()
    if not (options.sequence / "img1").is_dir():
        print(f"left out: {options.sequence} has no frames; name a sequence with --sequence")
        return
    sequence = MotSequence.open(options.sequence)
    given = opened(sequence, range(1, min(options.frames, sequence.n_frames) + 1))
    how = options.precision
    embedder = Embedder.load(options.embedder, precision=how) if options.embedder else Embedder.untrained(precision=how)
    embedder(np.zeros((8, embedder.input_size, embedder.input_size, 3), np.uint8))
    first, features = end_to_end(given, embedder, options.embed_every)
    rows, claims = [first, cached(given, features)], []
    if options.checkpoint is not None:
        from ssat.detection.centertrack_detector import CenterTrackDetector

        row, _ = end_to_end(given, embedder, options.embed_every, CenterTrackDetector.load(options.checkpoint))
        rows.append({**row, "pass": "with refinement"})
        if torch.cuda.is_available():
            claims.append(Claim("times the paper's 3.2 fps with refinement", float(row["fps"]) / 3.2, 10))
    graph = options.embedder is not None and options.embedder.suffix == ".onnx"
    network = f"{options.embedder.name if graph else embedder.network.architecture} at {embedder.input_size} px"
    report("track_speed", f"{sequence.name}, {len(given.numbers or ())} frames, {network}", rows, claims)


if __name__ == "__main__":
    main()
