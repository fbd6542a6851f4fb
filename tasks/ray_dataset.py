"""The frame store as a Ray Data dataset of crops."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

from ssat.errors import InputError
from ssat.frames.augment import Augment
from ssat.frames.schema import FRAME_SCHEMA
from ssat.frames.store import FrameStore
from ssat.remote import RemotePath

_logger = logging.getLogger(__name__)


def read_dataset(
    store: FrameStore,
    *,
    class_ids: Sequence[int],
    crop: int,
    short_side: int,
    seed: int = 0,
    epoch: int = 0,
    augment: Augment | None = None,
) -> Any:
    """Return a `ray.data.Dataset` with a row per frame of the clips `class_ids`.

    Its columns are those of the store, with two differences: instead of `jpeg` there is `crop`, (crop, crop, 3) uint8
    RGB, and `label` is the position of the clip in `class_ids`. The rows come in the store's order: permuted within a
    shard; shuffle further with `randomize_block_order` and `local_shuffle_buffer_size`. The crop of a frame follows
    from seed, epoch, clip and frame, whatever the number of workers. A row that cannot be decoded is logged and
    left out.

    Raises:
        InputError: no class, a class twice, one that the store does not know, or a crop larger than the frame.
    """
    import ray

    from ssat.frames.selection import Selection

    if not 1 <= crop <= short_side:
        raise InputError(
            f"crop {crop} does not fit into a frame of short side {short_side}: expected crop ≤ short side"
        )
    labels = Selection(store, class_ids, None, seed).label_of
    wanted = [
        str(store.folder / entry.path)
        for entry in store.manifest.shards
        if (labels[entry.first_class_id : entry.last_class_id + 1] >= 0).any()
    ]
    source: dict[str, Any] = {}
    if isinstance(store.folder, RemotePath):
        from pyarrow import fs

        source["filesystem"] = fs.FileSystem.from_uri(wanted[0])[0]
        wanted = [path.removeprefix("s3://") for path in wanted]
    dataset = ray.data.read_parquet(wanted, columns=FRAME_SCHEMA.names, **source)
    # Tasks, not actors: those would hold CPUs that reading needs.
    crops = _Cropper(labels, crop, short_side, seed, epoch, augment or Augment())
    return dataset.map_batches(crops, batch_format="pyarrow", batch_size=256)


class _Cropper:
    """Decoder and cropper of batches of rows. Plain data, so that it can be sent to the workers."""

    def __init__(self, labels: Any, crop: int, short_side: int, seed: int, epoch: int, augment: Augment) -> None:
        self._labels = labels
        self._crop = crop
        self._short_side = short_side
        self._key = (seed, epoch)
        self._augment = augment

    def __call__(self, table: Any) -> Any:
        import cv2
        import numpy as np
        import pyarrow as pa
        from ray.data.extensions import ArrowTensorArray

        from ssat.frames.augment import DRAWS, FrameDecoder

        cv2.setNumThreads(1)
        decoder = FrameDecoder()
        table = table.filter(pa.array(self._labels[table["class_id"].to_numpy()] >= 0))
        class_ids, frames = table["class_id"].to_numpy(), table["frame_index"].to_numpy()
        crops = np.empty((len(class_ids), self._crop, self._crop, 3), np.uint8)
        good = np.ones(len(class_ids), bool)
        for row, jpeg in enumerate(table["jpeg"]):
            try:
                frame = decoder.decode(jpeg.as_py(), self._short_side)
            except ValueError as problem:
                good[row] = False
                _logger.warning("clip with class id %d, frame %d is left out: %s", class_ids[row], frames[row], problem)
                continue
            draws = np.random.Generator(np.random.PCG64([*self._key, int(class_ids[row]), int(frames[row])])).random(
                DRAWS
            )
            self._augment.into(crops[row], frame, self._short_side, draws)
        labels = pa.array(self._labels[class_ids])
        table = table.drop_columns(["jpeg"]).append_column("label", labels)
        table = table.append_column("crop", ArrowTensorArray.from_numpy(crops))
        return table if good.all() else table.filter(pa.array(good))
