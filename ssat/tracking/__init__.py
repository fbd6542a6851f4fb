"""The tracker: detections and appearance features in, identities out; and what brings videos to it."""

from typing import TYPE_CHECKING, Any

from ssat.tracking.config import TrackerConfig
from ssat.tracking.tracker import Tracker, Tracks

if TYPE_CHECKING:
    from ssat.tracking.cameras import Cameras
    from ssat.tracking.run import track_video
    from ssat.tracking.saving import load_tracker, save_tracker

__all__ = ["Cameras", "Tracker", "TrackerConfig", "Tracks", "load_tracker", "save_tracker", "track_video"]

_LATER = {
    "Cameras": "ssat.tracking.cameras",
    "track_video": "ssat.tracking.run",
    "load_tracker": "ssat.tracking.saving",
    "save_tracker": "ssat.tracking.saving",
}


def __getattr__(name: str) -> Any:
    # The tracker itself knows nothing of files, models or video, and needs none of what they import.
    if name in _LATER:
        import importlib

        return getattr(importlib.import_module(_LATER[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
