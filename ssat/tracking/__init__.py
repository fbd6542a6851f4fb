"""The tracker: detections and appearance features in, identities out; knows nothing of files, models or video."""

from ssat.tracking.config import TrackerConfig
from ssat.tracking.tracker import Tracker, Tracks

__all__ = ["Tracker", "TrackerConfig", "Tracks"]
