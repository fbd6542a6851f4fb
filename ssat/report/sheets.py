"""Contact sheets: many small pictures on one."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from ssat.errors import InputError
from ssat.video.pictures import write_png

_CAPTION = 16  # pixels under each crop
_GAP = 4
_MAX_CROPS = 400  # crops on one sheet: more cannot be distinguished on a screen


def crop_sheet(crops: NDArray[np.uint8], labels: Sequence[object], path: Path, *, columns: int | None = None) -> Path:
    """Return a PNG with every crop, left to right and top to bottom in the order given, its label under it.

    Args:
        crops: (n, H, W, 3) uint8, RGB; at most 400 are shown.
        labels: n of anything; shown as text, cut to the crop's width.
        path: where the picture goes; replaced whole.
        columns: crops in a row; by default as many as make the sheet a little wider than high.

    Raises:
        InputError: no crops, another shape or type, or another number of labels.
    """
    if crops.ndim != 4 or crops.shape[-1] != 3 or crops.dtype != np.uint8 or not len(crops):
        raise InputError(f"{path}: crops must be uint8 (n, H, W, 3) with n > 0, not {crops.dtype} {crops.shape}")
    if len(labels) != len(crops):
        raise InputError(f"{path}: {len(crops)} crops but {len(labels)} labels")
    crops, labels = crops[:_MAX_CROPS], labels[:_MAX_CROPS]
    n, height, width, _ = crops.shape
    if columns is None:
        columns = min(n, max(1, round(math.sqrt(n * 1.6 * (height + _CAPTION) / width))))
    rows = math.ceil(n / columns)
    cell_h, cell_w = height + _CAPTION + _GAP, width + _GAP
    sheet = np.full((rows * cell_h + _GAP, columns * cell_w + _GAP, 3), 255, np.uint8)
    for position, (crop, label) in enumerate(zip(crops, labels, strict=True)):
        top = _GAP + position // columns * cell_h
        left = _GAP + position % columns * cell_w
        sheet[top : top + height, left : left + width] = crop
        text = str(label).encode("ascii", "replace").decode()[: max(1, width // 7)]
        cv2.putText(
            sheet, text, (left, top + height + 12), cv2.FONT_HERSHEY_SIMPLEX, 0.38, (31, 41, 51), 1, cv2.LINE_AA
        )
    return write_png(sheet, path)


def neighbour_sheet(
    crops: NDArray[np.uint8],
    features_BD: NDArray[np.float32],
    clips: NDArray[np.int64],
    times_us: NDArray[np.int64],
    path: Path,
    *,
    queries: int = 12,
    gap_us: int = 1_000_000,
) -> Path:
    """Return a PNG with a row per query: a frame, then the five frames most like it, each with its clip and cosine.

    Frames of the query's own clip less than `gap_us` away are left out, as in the retrieval score.

    Args:
        crops: (n, H, W, 3) uint8, RGB.
        features_BD: (n, D), L2-normalised.
        clips: (n,) clip of each frame.
        times_us: (n,) time of each frame in its clip, microseconds.
        path: where the picture goes; replaced whole.
        queries: rows; queries are the middle frames of as many clips.
    """
    chosen = []
    for clip in np.unique(clips)[:queries]:
        of_clip = np.flatnonzero(clips == clip)
        chosen.append(int(of_clip[len(of_clip) // 2]))
    shown: list[int] = []
    labels: list[str] = []
    for query in chosen:
        cosine = features_BD @ features_BD[query]
        cosine[(clips == clips[query]) & (np.abs(times_us - times_us[query]) < gap_us)] = -2.0
        nearest = np.argsort(-cosine, kind="stable")[:5].tolist()
        shown += [query, *nearest]
        labels += [f"clip {clips[query]}:", *(f"{clips[n]} {cosine[n]:.2f}" for n in nearest)]
    return crop_sheet(crops[shown], labels, path, columns=len(shown) // max(1, len(chosen)))
