"""What `ssat track --live` prints of a frame."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class LiveTrack:
    """A track of a frame: left, top, right and bottom in pixels as the frame is decoded; None without a score."""

    id: int
    box: tuple[float, float, float, float]
    score: float | None


@dataclass(frozen=True)
class LiveRegained:
    """A former identity that a track has regained, and the one that it had so far."""

    id: int
    so_far: int


@dataclass(frozen=True)
class LiveFrame:
    """A frame's tracks as `ssat track --live` prints them."""

    frame: int
    tracks: tuple[LiveTrack, ...]
    regained: tuple[LiveRegained, ...]

    def as_json(self) -> Mapping[str, object]:
        """Return the frame and its tracks, and the identities that were regained where there are any."""
        return {"frame": self.frame, "tracks": self.tracks, **({"regained": self.regained} if self.regained else {})}
