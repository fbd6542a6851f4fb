"""What tracking one sequence of a benchmark gave, as it is kept beside its files."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path

from ssat.workspace import committed

STAGES = ("read", "patches", "embed", "associate")  # what the tracker costs


@dataclass(frozen=True)
class SequenceResult:
    """Names of the files, relative to their folder, and what they took.

    Attributes:
        results: text in MOTChallenge form.
        n_frames, n_detections: that were tracked.
        seconds: by stage.
        video, picture: annotated mp4, and a frame of it; None: not written.
        detect_fps: frames per second of detecting; None: detections were given.
        notes: for people.
        association_cpu_seconds: of a tracker that runs in a process of its own.
    """

    results: str
    n_frames: int
    n_detections: int
    seconds: dict[str, float]
    video: str | None = None
    picture: str | None = None
    detect_fps: float | None = None
    notes: tuple[str, ...] = field(default=())
    association_cpu_seconds: float | None = None

    @property
    def files(self) -> tuple[str, ...]:
        """The names of all files."""
        return tuple(name for name in (self.results, self.video, self.picture) if name is not None)

    def to_json(self) -> dict[str, object]:
        """The values that there are."""
        optional: dict[str, object] = {"video": self.video, "picture": self.picture, "detect_fps": self.detect_fps}
        optional["notes"] = list(self.notes) or None
        optional["association_cpu_seconds"] = self.association_cpu_seconds
        return {
            "results": self.results,
            "n_frames": self.n_frames,
            "n_detections": self.n_detections,
            "seconds": self.seconds,
            **{key: value for key, value in optional.items() if value is not None},
        }

    @classmethod
    def read(cls, path: Path) -> SequenceResult:
        """Read what `write` left.

        Raises:
            OSError, ValueError, TypeError: no such file, or a damaged one.
        """
        found = json.loads(path.read_text())
        return cls(**{**found, "notes": tuple(found.get("notes", ()))})

    def write(self, path: Path) -> None:
        """Write it to `path`, whole or not at all: a sequence is done when it is there."""
        with committed(path) as temporary:
            temporary.write_text(json.dumps(self.to_json()))


def result_path(folder: Path, name: str) -> Path:
    """Where the result of the sequence `name` is kept."""
    return folder / f"{name}.json"
