"""Centre crops of chosen clips: the same every time, for held-out retrieval and for pictures."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ssat.errors import InputError
from ssat.frames.augment import FrameDecoder, centre_crop
from ssat.frames.store import FrameStore


def read_crops(
    store: FrameStore, class_ids: Sequence[int], frames_per_clip: int, crop: int, short_side: int
) -> tuple[NDArray[np.uint8], NDArray[np.int64], NDArray[np.int64]]:
    """Centre crops of evenly spaced frames, ordered by clip and time.

    Args:
        store: the opened frame store.
        class_ids: of the clips; a clip that failed to decode is left out.
        frames_per_clip: frames of each clip, fewer if the clip has fewer.
        crop: side of a crop in pixels.
        short_side: short side of the frame that the crop is cut from, in pixels.

    Returns:
        crops (n, crop, crop, 3) uint8 RGB, labels (n,) int64 (position of the clip in `class_ids`), pts_us (n,) int64
        (time in the clip in microseconds).

    Raises:
        InputError: sizes that do not fit, a class id that the store does not know, or a frame that cannot be read.
    """
    if not 1 <= crop <= short_side or frames_per_clip < 1:
        raise InputError(
            f"crop {crop}, short side {short_side}, frames per clip {frames_per_clip}: expected 1 ≤ crop ≤ short side "
            "and at least one frame"
        )
    counts = store.frames_of
    wanted: dict[int, Sequence[int] | None] = {}
    for class_id in class_ids:
        if not 0 <= class_id < len(counts):
            raise InputError(f"{store.folder}: no clip with class id {class_id}; expected 0 to {len(counts) - 1}")
        if counts[class_id]:
            wanted[int(class_id)] = _spread(int(counts[class_id]), frames_per_clip, store.frame_stride)
    found = store.select(wanted)
    decoder = FrameDecoder()
    crops, labels, times = [], [], []
    for label, class_id in enumerate(class_ids):
        for frame_index, pts_us, jpeg in found.get(int(class_id), []):
            try:
                frame = decoder.decode(jpeg, short_side)
            except ValueError as error:
                raise InputError(
                    f"{store.folder}: frame {frame_index} of the clip with class id {class_id} is damaged ({error}); "
                    "run the stage verify with setting `repair`"
                ) from error
            crops.append(centre_crop(frame, crop, short_side))
            labels.append(label)
            times.append(pts_us)
    images = np.stack(crops) if crops else np.empty((0, crop, crop, 3), np.uint8)
    return images, np.array(labels, np.int64), np.array(times, np.int64)


def _spread(stored: int, wanted: int, stride: int) -> list[int]:
    """Return indices of `wanted` of the `stored` frames, evenly spaced, each in the middle of its part."""
    count = min(stored, wanted)
    return [int((i + 0.5) * stored / count) * stride for i in range(count)]
