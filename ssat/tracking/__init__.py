"""The tracker: detections and appearance features in, identities out. Arrays only: no files, models or video."""

from typing import TYPE_CHECKING, Any

from ssat.tracking.config import TrackerConfig
from ssat.tracking.tracker import Tracker, Tracks

if TYPE_CHECKING:
    from ssat.tracking.saving import load_tracker, save_tracker

__all__ = ["Tracker", "TrackerConfig", "Tracks", "load_tracker", "save_tracker"]

_MOVED = ("Cameras", "track_video")  # to `ssat`; still found here for one release


def __getattr__(name: str) -> Any:
    if name in ("load_tracker", "save_tracker"):
        from ssat.tracking import saving

        return getattr(saving, name)
    if name in _MOVED:
        import importlib
        import warnings

        warnings.warn(f"ssat.tracking.{name} is now ssat.{name}", DeprecationWarning, stacklevel=2)
        return getattr(importlib.import_module("ssat"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
