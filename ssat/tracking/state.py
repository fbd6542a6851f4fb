"""The state of a tracker between two frames: saved, restored, carried to another process."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import safetensors
from numpy.typing import NDArray
from pydantic import ValidationError
from safetensors.numpy import save_file

from ssat.errors import InputError
from ssat.tracking.config import TrackerConfig
from ssat.tracking.tracker import Tracker
from ssat.workspace import committed

FORMAT = "ssat-tracker-1"


def save_tracker(tracker: Tracker, path: Path) -> Path:
    """Writes configuration, frame rate and all tracks to one safetensors file, whole or not at all."""
    arrays: dict[str, NDArray[np.generic]] = {
        "ids": tracker._ids,
        "boxes": tracker._boxes,
        "missed": tracker._missed,
    }
    if tracker._features is not None:
        arrays["features"] = tracker._features
    if tracker._motion is not None:
        arrays |= {name: getattr(tracker._motion, name) for name in ("place", "speed", "covariance")}
    facts = {
        "format": FORMAT,
        "config": tracker.config.model_dump_json(),
        "frame_rate": json.dumps(tracker.frame_rate),
        "next_id": str(tracker._next_id),
        "faceless": json.dumps(tracker._faceless),
    }
    with committed(path) as temporary:
        save_file({name: np.ascontiguousarray(array) for name, array in arrays.items()}, temporary, facts)
    return path


def load_tracker(path: Path) -> Tracker:
    """The tracker that `save_tracker` wrote; it goes on as if it had never stopped.

    Raises:
        InputError: no such file, or not a tracker's state.
    """
    try:
        with safetensors.safe_open(path, framework="numpy") as file:
            facts = file.metadata() or {}
            arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a mapping
    except (OSError, safetensors.SafetensorError) as error:
        raise InputError(f"{path}: not a readable safetensors file ({error}); expected a tracker's state") from error
    if facts.get("format") != FORMAT:
        raise InputError(f"{path}: format {facts.get('format')!r}, expected {FORMAT!r}: not a tracker's state")
    try:
        tracker = Tracker(TrackerConfig.model_validate_json(facts["config"]), float(json.loads(facts["frame_rate"])))
        tracker._next_id, tracker._faceless = int(facts["next_id"]), bool(json.loads(facts["faceless"]))
        tracker._ids, tracker._boxes, tracker._missed = arrays["ids"], arrays["boxes"], arrays["missed"]
        tracker._features = arrays.get("features")
        if tracker._motion is not None:
            for name in ("place", "speed", "covariance"):
                setattr(tracker._motion, name, arrays[name])
    except (KeyError, ValueError, TypeError, ValidationError) as error:
        raise InputError(f"{path}: damaged state of a tracker ({error})") from error
    n = len(tracker._ids)
    if any(len(array) != n for array in arrays.values()) or tracker._boxes.shape != (n, 4):
        raise InputError(f"{path}: damaged state of a tracker: arrays of different lengths")
    return tracker
