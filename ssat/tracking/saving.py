"""The state of a tracker between two frames: save it, restore it, carry it to another process."""

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
from ssat.tracking.state import TrackState
from ssat.tracking.tracker import Tracker
from ssat.workspace import committed

FORMAT = "ssat-tracker-2"
_MEMORY = "long_memory_"
_CALIBRATION, _COUNTS = "calibration_histogram", "calibration_counts"
_FORMER = "ssat-tracker-1"
_FORMER_NAMES = {"missed": "time_since_update", "place": "position", "speed": "velocity"}


def save_tracker(tracker: Tracker, path: Path) -> Path:
    """Write configuration, frame rate and all tracks to one safetensors file, completely or not at all."""
    facts = {
        "format": FORMAT,
        "config": tracker.config.model_dump_json(),
        "frame_rate": json.dumps(tracker.frame_rate),
        "next_id": str(tracker.next_id),
    }
    arrays = {name: np.ascontiguousarray(array) for name, array in tracker.state.arrays().items()}
    if tracker.method.calibration is not None:
        calibration = tracker.method.calibration
        arrays[_CALIBRATION] = calibration.histogram
        arrays[_COUNTS] = np.array([calibration.frames, calibration.pairs])
    if tracker.method.long_memory is not None:
        memory = tracker.method.long_memory.arrays()
        arrays |= {_MEMORY + name: np.ascontiguousarray(array) for name, array in memory.items()}
    with committed(path) as temporary:
        save_file(arrays, temporary, facts)
    return path


def load_tracker(path: Path) -> Tracker:
    """Return the tracker that `save_tracker` wrote. It continues as if it had never stopped.

    Files of the former format are converted.

    Raises:
        InputError: no such file, or not the state of a tracker.
    """
    try:
        with safetensors.safe_open(path, framework="numpy") as file:
            facts = file.metadata() or {}
            arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a mapping
    except (OSError, safetensors.SafetensorError) as error:
        raise InputError(f"{path}: not a readable safetensors file ({error}); expected a tracker's state") from error
    if facts.get("format") not in (FORMAT, _FORMER):
        raise InputError(f"{path}: format {facts.get('format')!r}, expected {FORMAT!r}: not a tracker's state")
    if facts["format"] == _FORMER:
        arrays = {_FORMER_NAMES.get(name, name): array for name, array in arrays.items()}
    try:
        tracker = Tracker(TrackerConfig.model_validate_json(facts["config"]), float(json.loads(facts["frame_rate"])))
        tracker.next_id = int(facts["next_id"])
        if tracker.method.calibration is not None:
            calibration = tracker.method.calibration
            calibration.histogram = arrays.pop(_CALIBRATION).astype(np.float64)
            calibration.frames, calibration.pairs = arrays.pop(_COUNTS).tolist()
        if tracker.method.long_memory is not None:
            names = [name for name in arrays if name.startswith(_MEMORY)]
            tracker.method.long_memory.restore({name.removeprefix(_MEMORY): arrays.pop(name) for name in names})
        tracker.state = _state_of(arrays)
    except (KeyError, ValueError, TypeError, ValidationError) as error:
        raise InputError(f"{path}: damaged state of a tracker ({error})") from error
    return tracker


def _state_of(arrays: dict[str, NDArray[np.generic]]) -> TrackState:
    state = TrackState(arrays.pop("ids"), arrays.pop("boxes"), arrays.pop("time_since_update"))  # type: ignore[arg-type]
    unknown = sorted(set(arrays) - set(TrackState.names()))
    if unknown:
        raise ValueError(f"unknown arrays {', '.join(unknown)}")
    state.set(arrays)
    n = len(state.ids)
    if any(len(array) != n for array in state.arrays().values()) or state.boxes.shape != (n, 4):
        raise ValueError("arrays of different lengths")
    state.missing_appearance = state.features is not None and not bool((state.features != 0).any(axis=1).all())
    return state
