"""Self-supervised appearance tracking: unlabelled clips → frames → embedder → tracks → scores.

The names below are the library's front door; everything else is in the sub-packages, which import only from packages
below their own (the floors are listed in CONTRIBUTING.md).
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ssat.embedding.embedder import Embedder
    from ssat.pipeline.cameras import Cameras
    from ssat.pipeline.run import track_video
    from ssat.tracking.config import TrackerConfig
    from ssat.tracking.tracker import Tracker, Tracks

__version__ = "0.1.0"
__all__ = ["Cameras", "Embedder", "Tracker", "TrackerConfig", "Tracks", "track_video"]

_MODULES = {
    "Cameras": "ssat.pipeline.cameras",
    "Embedder": "ssat.embedding.embedder",
    "Tracker": "ssat.tracking.tracker",
    "TrackerConfig": "ssat.tracking.config",
    "Tracks": "ssat.tracking.tracker",
    "track_video": "ssat.pipeline.run",
}


def __getattr__(name: str) -> Any:
    # Imported when they are first used: the embedder needs torch, which takes seconds to import.
    if name in _MODULES:
        return getattr(importlib.import_module(_MODULES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
