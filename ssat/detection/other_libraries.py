"""Detections of other libraries, recognised by their attributes; none of the libraries is imported.

| library | type | boxes | scores | identities go to |
|---|---|---|---|---|
| supervision | `Detections` | `xyxy` | `confidence` | `tracker_id` |
| ultralytics | `Results` | `boxes.xyxy` | `boxes.conf` | `boxes.id` |
| torchvision | dict of one image | `["boxes"]` | `["scores"]` | `["ids"]` |
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ssat.errors import InputError


class SupervisionDetections(Protocol):
    """`supervision.Detections`, or anything with the same two attributes that can be indexed by rows."""

    @property
    def xyxy(self) -> Any:
        """Boxes (D, 4), x1 y1 x2 y2 in pixels."""

    @property
    def confidence(self) -> Any:
        """Scores (D,), or None."""


class UltralyticsResults(Protocol):
    """`ultralytics.engine.results.Results` of one image."""

    @property
    def boxes(self) -> Any:
        """An object with `xyxy` (D, 4), `conf` (D,) and `data` (D, 6 or 7)."""


OtherDetections = SupervisionDetections | UltralyticsResults | Mapping[str, Any]
AnyDetections = ArrayLike | OtherDetections


def boxes_and_scores(detections: Any) -> tuple[Any, Any] | None:
    """Return boxes (D, 4) and scores (D,), or None for them, of another library's detections of one frame.

    Returns:
        None where `detections` are not of a known type, such as an array of boxes.

    Raises:
        InputError: results without boxes, or those of several images.
    """
    if isinstance(detections, list | tuple):
        if detections and _is_known(detections[0]):
            raise InputError(
                f"detections are a {type(detections).__name__} of {len(detections)} results; expected those of one "
                "image. Take one of them, such as results[0]"
            )
        return None
    if _is_supervision(detections):
        return detections.xyxy, detections.confidence
    if isinstance(detections, Mapping):
        if "boxes" not in detections:
            raise InputError(f"detections have the keys {', '.join(map(str, detections))}; expected the key boxes")
        return detections["boxes"], detections.get("scores")
    if _is_ultralytics(detections):
        if detections.boxes is None:
            raise InputError(
                "the ultralytics results have no boxes; expected those of a model that detects (oriented boxes and "
                "classes are not tracked)"
            )
        return detections.boxes.xyxy, detections.boxes.conf
    return None


def with_identities(detections: Any, rows: NDArray[np.intp], ids: NDArray[np.int64]) -> Any:
    """Return some of another library's detections in its own type, with identities.

    Args:
        detections: as `boxes_and_scores` takes them; they are not changed.
        rows: (N,) rows of `detections`.
        ids: (N,) their identities.
    """
    if isinstance(detections, Mapping):
        return _with_ids(detections, rows, ids)
    chosen = detections[rows]
    if _is_supervision(detections):
        chosen.tracker_id = ids.copy()
        return chosen
    data = chosen.boxes.data  # x1 y1 x2 y2 [id] score class
    shape = (len(rows), 7)
    boxes = data.new_empty(shape) if hasattr(data, "new_empty") else np.empty(shape, data.dtype)
    boxes[:, :4], boxes[:, 5:] = data[:, :4], data[:, -2:]
    boxes[:, 4] = data.new_tensor(ids) if hasattr(data, "new_tensor") else ids
    chosen.update(boxes=boxes)
    return chosen


def _with_ids(detections: Mapping[str, Any], rows: NDArray[np.intp], ids: NDArray[np.int64]) -> dict[str, Any]:
    n = len(detections["boxes"])
    chosen = {
        key: value[rows] if hasattr(value, "__len__") and len(value) == n else value
        for key, value in detections.items()
    }
    boxes = detections["boxes"]
    if hasattr(boxes, "detach"):
        import torch

        return {**chosen, "ids": torch.as_tensor(ids.copy(), device=boxes.device)}
    return {**chosen, "ids": ids.copy()}


def _is_known(value: Any) -> bool:
    return isinstance(value, Mapping) or _is_supervision(value) or _is_ultralytics(value)


def _is_supervision(value: Any) -> bool:
    return hasattr(value, "xyxy") and hasattr(value, "confidence")


def _is_ultralytics(value: Any) -> bool:
    return hasattr(value, "boxes") and hasattr(value, "orig_shape")
