"""The sampler against other ways to feed the same frames to a training step, and how well each mixes clips.

    python benchmarks/sampler_peers.py --clips ../shared/data/clips/trimmed

Speed: the same JPEGs of real clips as a frame store, a folder, a tar and through Ray Data, each to shuffled batches of
random 224x224 crops as uint8; CPU-seconds of everything that takes part, best of several. Mixing: different clips in a
batch of 256 at 1,600 clips of 300 frames, each with the shuffling that it usually gets: all frames (DataLoader), a
buffer of 1,000 frames over tars in clip order (WebDataset), a buffer of 8,000 rows (Ray Data). A peer that is not
installed is left out.
"""

from __future__ import annotations

import io
import os
import shutil
import tarfile
import tempfile
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import click
import cv2
import numpy as np
import psutil
from sampler import BATCH, clips_per_batch, large_store
from support.report import Claim, report
from support.stores import store_of

from ssat.frames.sampler import FrameSampler
from ssat.frames.store import FrameStore

CROP, SHORT_SIDE = 224, 256
CLIPS, FRAMES = 1600, 300
Batches = Callable[[], Iterable[Any]]


def cpu() -> float:
    """CPU-seconds of this process and of all that it started and that is still there."""
    family = [psutil.Process(), *psutil.Process().children(recursive=True)]
    return sum(sum(process.cpu_times()[:2]) for process in family)


def frames_per_second(batches: Batches, frames: int, repeats: int) -> float:
    """Frames per CPU-second, best of `repeats`."""
    best = float("inf")
    for _ in range(repeats):
        began = cpu()
        count = sum(len(batch) for batch in batches())
        assert count >= 0.9 * frames, f"{count} of {frames} frames came"
        best = min(best, (cpu() - began) / count)
    return 1 / best


def through_sampler(store: FrameStore) -> Batches:
    sampler = FrameSampler(store, class_ids=store.class_ids.tolist(), batch_size=32, crop=CROP, short_side=SHORT_SIDE)
    epochs = iter(range(10**6))
    return lambda: (images for images, _ in sampler.epoch(next(epochs)))


class _Folder:
    """A torch data set of JPEG files by PIL, as torchvision's ImageFolder reads them."""

    def __init__(self, folder: Path) -> None:
        self._paths = sorted(folder.glob("*.jpg"))
        self._random = np.random.default_rng(0)

    def __len__(self) -> int:
        return len(self._paths)

    def __getitem__(self, index: int) -> np.ndarray:
        return pil_crop(self._paths[index].read_bytes(), self._random)


def pil_crop(jpeg: bytes, random: np.random.Generator) -> np.ndarray:
    from PIL import Image

    image = Image.open(io.BytesIO(jpeg)).convert("RGB")
    left, top = (int(random.integers(0, side - CROP + 1)) for side in image.size)
    return np.asarray(image.crop((left, top, left + CROP, top + CROP)))


def through_folder(jpegs: list[bytes], folder: Path) -> Batches:
    from torch.utils.data import DataLoader

    folder.mkdir()
    for number, jpeg in enumerate(jpegs):
        (folder / f"{number:06d}.jpg").write_bytes(jpeg)
    return lambda: DataLoader(_Folder(folder), batch_size=32, shuffle=True)  # type: ignore[arg-type]


def through_webdataset(jpegs: list[bytes], folder: Path) -> Batches | None:
    try:
        import webdataset as wds
    except ImportError:
        return None
    folder.mkdir()
    with tarfile.open(folder / "frames.tar", "w") as archive:
        for number, jpeg in enumerate(jpegs):
            member = tarfile.TarInfo(f"{number:06d}.jpg")
            member.size = len(jpeg)
            archive.addfile(member, io.BytesIO(jpeg))
    random = np.random.default_rng(0)

    def batches() -> Any:
        data = wds.WebDataset(str(folder / "frames.tar"), shardshuffle=False).shuffle(1000).to_tuple("jpg")
        return data.map(lambda sample: pil_crop(sample[0], random)).batched(32, collation_fn=list)

    return batches


def through_ray(store: FrameStore) -> Batches:
    from tasks.ray_dataset import read_dataset

    dataset = read_dataset(store, class_ids=store.class_ids.tolist(), crop=CROP, short_side=SHORT_SIDE)
    return lambda: (
        batch["crop"]
        for batch in dataset.iter_batches(batch_size=32, local_shuffle_buffer_size=512, prefetch_batches=1)
    )


def different(labels: Iterator[int], batches: int) -> float:
    return float(np.mean([len(set(islice(labels, BATCH))) for _ in range(batches)]))


def webdataset_mixing(batches: int) -> float | None:
    try:
        from webdataset.filters import _shuffle
    except ImportError:
        return None
    rows = (clip for clip in range(CLIPS) for _ in range(FRAMES))
    return different(_shuffle(rows, bufsize=1000, initial=1000), batches)


def ray_mixing(store: FrameStore, batches: int) -> float:
    import ray

    paths = [str(store.folder / entry.path) for entry in store.manifest.shards[:2]]
    data = ray.data.read_parquet(paths, columns=["class_id"])
    counts = [
        len(np.unique(batch["class_id"]))
        for batch in islice(data.iter_batches(batch_size=BATCH, local_shuffle_buffer_size=8000), batches)
    ]
    return float(np.mean(counts))


@click.command(help=__doc__)
@click.option("--clips", "folder", type=click.Path(path_type=Path), default=None, help="Folder of trimmed clips.")
@click.option("--files", default=16, show_default=True, help="Clips whose frames are fed.")
@click.option("--repeats", default=3, show_default=True, help="Runs of each; the fastest counts.")
@click.option("--batches", default=30, show_default=True, help="Batches whose clips are counted.")
@click.option("--ray/--no-ray", "with_ray", default=True, show_default=True, help="Also measure Ray Data.")
def main(folder: Path | None, files: int, repeats: int, batches: int, with_ray: bool) -> None:
    cv2.setNumThreads(1)
    folder = folder or Path(os.environ.get("SSAT_REAL_DATA", "../shared/data")) / "clips" / "trimmed"
    clips = sorted(folder.glob("*.mp4"))
    # PIL's crop needs frames that are large enough; all ways get the same clips.
    clips = [clip for clip in clips if _short_side(clip) >= SHORT_SIDE - 2][:files]
    if not clips:
        raise click.ClickException(f"{folder}: no clips; give a folder with --clips")
    temporary = Path(tempfile.mkdtemp(prefix="ssat-peers-"))
    try:
        from tasks.services import ray_session

        store = store_of(temporary / "real", clips, stride=10)
        jpegs = [jpeg for class_id in store.class_ids for _, jpeg in store.read_frames(int(class_id))]
        size = float(np.mean([len(jpeg) for jpeg in jpegs]))
        whole = sum(entry.bytes for entry in store.manifest.shards) / len(jpegs)
        mixed = large_store(temporary / "mix", CLIPS, FRAMES)
        ideal = CLIPS * (1 - (1 - 1 / CLIPS) ** BATCH)
        rows = []

        def add(name: str, source: Batches | None, mixing: float | None) -> None:
            if source is None:
                rows.append({"way": name, "frames per CPU-second": "not installed", "clips in a batch of 256": ""})
                return
            speed = frames_per_second(source, len(jpegs), repeats)
            rows.append(
                {"way": name, "frames per CPU-second": round(speed), "clips in a batch of 256": round(mixing or 0, 1)}
            )

        ours_mixed = clips_per_batch(mixed, batches)
        add("ssat sampler", through_sampler(store), ours_mixed)
        add("DataLoader, JPEG folder, PIL", through_folder(jpegs, temporary / "folder"), ideal)
        add("WebDataset, PIL", through_webdataset(jpegs, temporary / "tar"), webdataset_mixing(batches))
        if with_ray:
            with ray_session():
                add("Ray Data (read_dataset)", through_ray(store), ray_mixing(mixed, batches))
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    report(
        "sampler_peers",
        f"{len(jpegs)} frames of {len(clips)} real clips, {size / 1000:.1f} kB a JPEG, {whole / 1000:.1f} kB a row of "
        f"the store; frames drawn at random would mix {ideal:.0f} clips",
        rows,
        [Claim("different clips in a batch of 256", ours_mixed, 225)],
    )


def _short_side(path: Path) -> int:
    import av

    with av.open(str(path)) as container:
        context = container.streams.video[0].codec_context
        return int(min(context.width, context.height))


if __name__ == "__main__":
    main()
