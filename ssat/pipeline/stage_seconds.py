"""Time of each stage of tracking."""

from __future__ import annotations

from dataclasses import asdict, dataclass

TRACKER_STAGES = ("read", "patches", "embed", "associate")  # the stages of the tracker


@dataclass
class StageSeconds:
    """Seconds of wall-clock time per stage. `read` is waiting for a frame, not decoding it."""

    read: float = 0.0
    detect: float = 0.0
    patches: float = 0.0
    embed: float = 0.0
    associate: float = 0.0
    draw: float = 0.0

    def __add__(self, other: StageSeconds) -> StageSeconds:
        return StageSeconds(**{stage: spent + getattr(other, stage) for stage, spent in asdict(self).items()})

    @property
    def of_tracker(self) -> dict[str, float]:
        """Seconds of the stages that the tracker costs: all but detecting and drawing."""
        return {stage: getattr(self, stage) for stage in TRACKER_STAGES}

    @property
    def tracking(self) -> float:
        """All but detecting and drawing: what the tracker costs."""
        return sum(self.of_tracker.values())

    @property
    def working(self) -> float:
        """Seconds in which the main thread computed, waiting for frames and drawing left out."""
        return self.detect + self.patches + self.embed + self.associate

    def rates(self, frames: int) -> dict[str, float]:
        """Return frames per second of every stage that took any time, in the order of the stages."""
        return {stage: frames / spent for stage, spent in asdict(self).items() if spent}
