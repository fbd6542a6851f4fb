"""A frame's tracks as `ssat track --live` and `ssat benchmark --live` print them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from ssat.pipeline.frames import DetectedFrame
    from ssat.tracking.tracker import Tracks


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
    """A frame's tracks, and the sequence where there are several."""

    frame: int
    tracks: tuple[LiveTrack, ...]
    regained: tuple[LiveRegained, ...]
    sequence: str | None = None

    @classmethod
    def of(cls, frame: DetectedFrame, tracks: Tracks, sequence: str | None = None) -> Self:
        """Return the tracks of a frame, boxes rounded to 0.01 pixels and scores to 0.0001."""
        scores = [None] * len(tracks) if tracks.scores is None else tracks.scores.round(4).tolist()
        rows = zip(tracks.ids.tolist(), tracks.boxes.round(2).tolist(), scores, strict=True)
        return cls(
            frame.number,
            tuple(LiveTrack(*row) for row in rows),
            tuple(LiveRegained(former, so_far) for so_far, former in tracks.regained),
            sequence,
        )

    def as_json(self) -> Mapping[str, object]:
        """Return the frame and its tracks; sequence and regained identities only where there are any."""
        sequence = {} if self.sequence is None else {"sequence": self.sequence}
        regained = {"regained": self.regained} if self.regained else {}
        return {**sequence, "frame": self.frame, "tracks": self.tracks, **regained}
