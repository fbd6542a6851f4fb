"""The result of tracking one sequence of a benchmark, stored beside its files."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ssat.pipeline.stage_seconds import StageSeconds
from ssat.workspace import committed


@dataclass(frozen=True)
class SequenceResult:
    """Names of the files, relative to their folder, and what they took.

    Attributes:
        results: text in MOTChallenge form.
        n_frames, n_detections: that were tracked.
        seconds: by stage, without detecting and drawing.
        video, picture: annotated mp4, and a frame of it; None: not written.
        detect_fps: frames per second of detecting; None: detections were given.
        notes: for people.
        association_cpu_seconds: of a tracker that runs in a process of its own.
    """

    results: str
    n_frames: int
    n_detections: int
    seconds: StageSeconds
    video: str | None = None
    picture: str | None = None
    detect_fps: float | None = None
    notes: tuple[str, ...] = field(default=())
    association_cpu_seconds: float | None = None

    @property
    def files(self) -> tuple[str, ...]:
        """The names of all files."""
        return tuple(name for name in (self.results, self.video, self.picture) if name is not None)

    def as_json(self) -> Mapping[str, object]:
        """Return the values that there are."""
        optional: dict[str, object] = {"video": self.video, "picture": self.picture, "detect_fps": self.detect_fps}
        optional["notes"] = list(self.notes) or None
        optional["association_cpu_seconds"] = self.association_cpu_seconds
        return {
            "results": self.results,
            "n_frames": self.n_frames,
            "n_detections": self.n_detections,
            "seconds": self.seconds.of_tracker,
            **{key: value for key, value in optional.items() if value is not None},
        }

    @classmethod
    def read(cls, path: Path) -> SequenceResult:
        """Read what `write` left.

        Raises:
            OSError, ValueError, KeyError, TypeError: no such file, or a damaged one.
        """
        return cls.of(json.loads(path.read_text()))

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> SequenceResult:
        """Return the result whose `as_json` gave these values.

        Raises:
            KeyError, TypeError: values that are none.
        """
        seconds = StageSeconds(**values["seconds"])
        return cls(**{**values, "seconds": seconds, "notes": tuple(values.get("notes", ()))})

    def write(self, path: Path) -> None:
        """Write it to `path`, whole or not at all: a sequence is done when it is there."""
        with committed(path) as temporary:
            temporary.write_text(json.dumps(self.as_json()))


def result_path(folder: Path, name: str) -> Path:
    """Return where the result of the sequence `name` is kept."""
    return folder / f"{name}.json"
