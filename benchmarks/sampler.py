"""JPEG → random crop against bare simplejpeg, and how many clips a batch of 256 mixes at 1,600 clips.

    python benchmarks/sampler.py --clips ../shared/data/clips/trimmed

Speed: JPEGs of real clips through the sampler's own decode and crop, beside simplejpeg alone on the same bytes with
the same arguments, both in CPU-seconds of one core, in turn, best of several. Then whole batches from a store.
Mixing: a store of 1,600 clips of 300 frames (tiny frames: order is what counts) through the sampler's own order.
"""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from itertools import islice
from pathlib import Path

import click
import cv2
import numpy as np
import simplejpeg
from support.report import Claim, report
from support.stores import store_of

from ssat.frames.augment import DRAWS, Augment, FrameDecoder
from ssat.frames.build import commit_store
from ssat.frames.clip import SPOOL_ROW, ClipJob, SpooledClip
from ssat.frames.manifest import ClipRecord
from ssat.frames.sampler import FrameSampler
from ssat.frames.settings import DecodeSettings
from ssat.frames.shard import ShardJob, gather_shard
from ssat.frames.store import FrameStore

BATCH = 256


def large_store(folder: Path, clips: int, frames: int) -> FrameStore:
    """`clips` clips of `frames` frames of 8x8 pixels in shards of 160, written by the store's own writer."""
    settings = DecodeSettings()
    jpeg = simplejpeg.encode_jpeg(np.zeros((8, 8, 3), np.uint8), 50)
    source = folder / "frame.jpeg"
    folder.mkdir(parents=True)
    source.write_bytes(jpeg)
    rows = np.zeros(frames, SPOOL_ROW)
    rows["frame_index"], rows["width"], rows["height"], rows["size"] = np.arange(frames), 8, 8, len(jpeg)
    finished = []
    for index in range(-(-clips // settings.shard_clips)):
        class_ids = range(index * settings.shard_clips, min(clips, (index + 1) * settings.shard_clips))
        job = ShardJob(
            index, "mix", [ClipJob(class_id, str(class_id), source, "", 0) for class_id in class_ids], settings, folder
        )
        spooled = [
            SpooledClip(
                ClipRecord(class_id=class_id, clip_id=str(class_id), status="ok", n_frames=frames), rows, source
            )
            for class_id in class_ids
        ]
        finished.append(gather_shard(job, spooled))
    commit_store(folder, settings, "benchmark", finished)
    return FrameStore.open(folder)


def crop_speed(jpegs: list[bytes], crop: int, short_side: int, repeats: int) -> tuple[float, float]:
    """Frames per CPU-second: decode and crop as the sampler does, and simplejpeg alone."""
    augment, decoder, out = Augment(), FrameDecoder(), np.empty((crop, crop, 3), np.uint8)
    draws = np.random.default_rng(0).random((len(jpegs), DRAWS))
    best = {"ours": float("inf"), "bare": float("inf")}
    for _ in range(repeats):
        began = time.process_time()
        for jpeg, numbers in zip(jpegs, draws, strict=True):
            augment.into(out, decoder.decode(jpeg, short_side), short_side, numbers)
        best["ours"] = min(best["ours"], time.process_time() - began)
        began = time.process_time()
        for jpeg in jpegs:
            simplejpeg.decode_jpeg(jpeg, "RGB", min_height=short_side, min_width=short_side, min_factor=2)
        best["bare"] = min(best["bare"], time.process_time() - began)
    return len(jpegs) / best["ours"], len(jpegs) / best["bare"]


def batch_speed(store: FrameStore, crop: int, short_side: int, repeats: int) -> float:
    """Crops per CPU-second of whole batches: reading, shuffling, decoding, cropping."""
    sampler = FrameSampler(store, class_ids=store.class_ids.tolist(), batch_size=32, crop=crop, short_side=short_side)
    best, crops = float("inf"), 32 * sampler.steps_per_epoch
    for epoch in range(repeats):
        began = time.process_time()
        for _ in sampler.epoch(epoch):
            pass
        best = min(best, time.process_time() - began)
    return crops / best


def clips_per_batch(store: FrameStore, batches: int) -> float:
    """Mean number of different clips in a batch of 256."""
    sampler = FrameSampler(store, class_ids=store.class_ids.tolist(), batch_size=BATCH, crop=8, short_side=8)
    counts = [len(np.unique(labels)) for _, labels in islice(sampler.epoch(0), batches)]
    return float(np.mean(counts))


@click.command(help=__doc__)
@click.option("--clips", "folder", type=click.Path(path_type=Path), default=None, help="Folder of trimmed clips.")
@click.option("--files", default=16, show_default=True, help="Clips whose JPEGs are decoded.")
@click.option("--repeats", default=5, show_default=True, help="Runs; the fastest counts.")
@click.option("--batches", default=40, show_default=True, help="Batches whose clips are counted.")
def main(folder: Path | None, files: int, repeats: int, batches: int) -> None:
    cv2.setNumThreads(1)
    folder = folder or Path(os.environ.get("SSAT_REAL_DATA", "../shared/data")) / "clips" / "trimmed"
    clips = sorted(folder.glob("*.mp4"))[:files]
    if not clips:
        raise click.ClickException(f"{folder}: no clips; give a folder with --clips")
    temporary = Path(tempfile.mkdtemp(prefix="ssat-sampler-"))
    try:
        store = store_of(temporary / "real", clips, stride=10)
        jpegs = [jpeg for class_id in store.class_ids[:8] for _, jpeg in store.read_frames(int(class_id))][:128]
        rows = []
        for crop, short_side in ((224, 256), (112, 128)):
            ours, bare = crop_speed(jpegs, crop, short_side, repeats)
            rows.append(
                {
                    "crop of short side": f"{crop} of {short_side}",
                    "JPEG → crop /s": round(ours),
                    "bare simplejpeg /s": round(bare),
                    "share": round(ours / bare, 3),
                    "whole batches /s": round(batch_speed(store, crop, short_side, repeats)),
                }
            )
        share = min(row["share"] for row in rows)
        mixed = clips_per_batch(large_store(temporary / "mix", 1600, 300), batches)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    ideal = 1600 * (1 - (1 - 1 / 1600) ** BATCH)
    report(
        "sampler",
        f"{len(jpegs)} JPEGs of {len(clips)} real clips, CPU-seconds of one core, best of {repeats}; "
        f"{mixed:.1f} different clips in a batch of {BATCH} at 1,600 clips ({ideal:.0f} were frames drawn at random)",
        rows,
        [Claim("share of bare simplejpeg", share, 0.90), Claim("different clips in a batch of 256", mixed, 225)],
    )


if __name__ == "__main__":
    main()
