"""Clips in which a figure walks across a still ground, and a workspace that has collected them."""

import shutil
from collections.abc import Sequence
from pathlib import Path

import av
import numpy as np
import pyarrow as pa

from ssat.clips.roster import ROSTER_SCHEMA, save_roster
from ssat.workspace import Workspace, sha256_of

_FRAMES, _RATE, _SIZE = 45, 15, (320, 200)


def write_walking_clip(path: Path, seed: int, frames: int = _FRAMES) -> None:
    """Write an H.264 video, 320 x 200 at 15 frames a second; ground and figure follow from `seed`."""
    rng = np.random.default_rng(seed)
    width, height = _SIZE
    ground, figure = (
        rng.integers(0, 256, (tall // 8, wide // 8, 3), dtype=np.uint8).repeat(8, axis=0).repeat(8, axis=1)
        for tall, wide in ((height, width), (120, 48))
    )
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=_RATE, options={"preset": "ultrafast", "crf": "18"})
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        for at in range(frames):
            image = ground.copy()
            image[40:160, 60 + 3 * at : 108 + 3 * at] = figure[:, : max(0, width - 60 - 3 * at)]
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        container.mux(stream.encode())


def collected(workspace: Workspace, clips: Sequence[Path]) -> pa.Table:
    """Copy the clips into the workspace, ranks in the order given; return its roster."""
    folder = workspace.clips / "trimmed"
    folder.mkdir(parents=True, exist_ok=True)
    rows = []
    for rank, clip in enumerate(clips):
        path = Path(shutil.copy(clip, folder))
        with av.open(str(path)) as container:
            frames = container.streams.video[0].frames
        facts = (rank, clip.stem, workspace.relative(path), sha256_of(path), *_SIZE, float(_RATE), frames)
        row = (*facts, frames / _RATE, path.stat().st_size)
        rows.append(dict(zip(ROSTER_SCHEMA.names, row, strict=True)))
    table = pa.Table.from_pylist(rows, schema=ROSTER_SCHEMA)
    save_roster(workspace, table, {})
    return table
