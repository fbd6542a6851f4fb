"""The result of a benchmark: scores, ceiling, speed and files of every sequence."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from ssat.mot.ceiling import Ceiling
from ssat.mot.protocols import Protocol
from ssat.mot.score_values import Scores
from ssat.once import save_result, saved_values
from ssat.pipeline.sequence_result import SequenceResult
from ssat.pipeline.stage_seconds import StageSeconds


@dataclass(frozen=True)
class Speed:
    """Tracking speed of sequences.

    Attributes:
        fps: frames per second end to end, without detecting and drawing.
        fps_by_stage: frames per second of each stage alone.
        frames, detections: how many there were.
    """

    fps: float
    fps_by_stage: dict[str, float]
    frames: int
    detections: int

    @classmethod
    def of(cls, tracked: Sequence[SequenceResult]) -> Speed:
        """Return the speed over some sequences together."""
        frames = sum(sequence.n_frames for sequence in tracked)
        seconds = sum((sequence.seconds for sequence in tracked), StageSeconds())
        by_stage = {stage: round(frames / spent, 1) for stage, spent in seconds.of_tracker.items() if spent}
        rates = [sequence.detect_fps for sequence in tracked if sequence.detect_fps is not None]
        if rates:
            by_stage["detect"] = round(len(rates) / sum(1 / rate for rate in rates), 2)
        fps = round(frames / seconds.tracking, 2) if seconds.tracking else 0.0
        return cls(fps, by_stage, frames, sum(sequence.n_detections for sequence in tracked))


@dataclass(frozen=True)
class Scored:
    """Measurements of a benchmark on one sequence or several.

    Attributes:
        scores: None for the split `test`, which has no labels.
        ceiling: None if the detections depend on the tracks, or there are no labels.
    """

    scores: Scores | None
    ceiling: Ceiling | None
    speed: Speed

    def as_json(self) -> Mapping[str, Any]:
        """Return the flat keys of result files and tables; shares of 1, counts, frames per second."""
        scores = {} if self.scores is None else self.scores.to_dict()
        ceiling = {} if self.ceiling is None or self.scores is None else self.ceiling.to_dict(self.scores.idf1)
        return {**scores, **ceiling, **asdict(self.speed)}

    def numbers(self) -> dict[str, int | float]:
        """Return the keys whose values are numbers."""
        return {key: value for key, value in self.as_json().items() if isinstance(value, int | float)}

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> Scored:
        """Return what `as_json` gave these values."""
        scores = Scores(**{field.name: values[field.name] for field in fields(Scores)}) if "mota" in values else None
        names = {"mota": "ceiling_mota", "idf1": "ceiling_idf1", "hota": "ceiling_hota", "box_idf1": "box_idf1"}
        known = "ceiling_idf1" in values
        ceiling = Ceiling(**{name: values[key] for name, key in names.items()}) if known else None
        return cls(scores, ceiling, Speed(**{field.name: values[field.name] for field in fields(Speed)}))


@dataclass(frozen=True)
class PackedSubmission:
    """The zip for the server, relative to the folder of the benchmark, and what the server would say of it."""

    file: str
    benchmark: str | None
    faults: tuple[str, ...]
    warnings: tuple[str, ...]


@dataclass(frozen=True)
class BenchmarkResult:
    """A finished benchmark as its result file records it.

    Attributes:
        sequences: name → what was measured on it.
        detectors: the same by public detector of MOT17, where there are several.
        overall: over all sequences.
        detections: file of the detections that were given.
        min_score: of detections that were used.
        detector, detector_sha256: the network that detected or refined; None if detections were given.
        departures: where the constants are not the paper's.
        extensions: what goes beyond the paper.
        embedder: as the settings name it.
        embedder_digest: None if no appearance was used.
        folder: of the result files and videos, relative to the workspace.
        files: sequence → its files and what they took.
        submission: of the split `test`.
        report: the page, relative to the workspace; None for the split `test`.
        skipped: sequence → why it was left out.
        reused: it was done before.
    """

    sequences: dict[str, Scored]
    detectors: dict[str, Scored]
    overall: Scored
    split: str
    detections: str
    min_score: float | None
    tracker: str
    protocol: Protocol
    detector: str | None
    detector_sha256: str | None
    refine: str
    departures: tuple[str, ...]
    extensions: tuple[str, ...]
    embedder: str | None
    embedder_digest: str | None
    data_digest: str
    folder: str
    files: dict[str, SequenceResult]
    submission: PackedSubmission | None
    report: str | None
    skipped: dict[str, str]
    mlflow_run_id: str
    reused: bool = False

    @property
    def headline(self) -> str:
        """Headline of the scores, in one line; it always names the protocol."""
        chosen = f", score ≥ {self.min_score:g}" if self.min_score is not None else ""
        appearance = ""
        if self.embedder_digest is not None:
            appearance = f", embedder {self.embedder or 'of the latest training'} ({self.embedder_digest[:8]})"
        source = f"{self.detections} detections{chosen}"
        if self.detector is not None and self.detector_sha256 is not None:
            source = f"detections of {self.detector} ({self.detector_sha256[:8]})"
            if self.refine != "none":
                source += f", refined {self.refine}"
        # Other trackers have constants of their own.
        departures = self.departures if self.tracker in ("ssat", "box") else ()
        changed = "".join(f", {departure}" for departure in departures)
        beyond = f", beyond the paper: {', '.join(self.extensions)}" if self.extensions else ""
        scored = f"protocol {self.protocol}" if self.split != "test" else "which the server scores"
        how = f"{self.tracker} on {source}{appearance}{changed}{beyond}"
        return f"{how}, split {self.split}, {scored}"

    def rows(self) -> dict[str, Mapping[str, Any]]:
        """Return sequence → its flat values, for tables."""
        return {name: scored.as_json() for name, scored in self.sequences.items()}

    def numbers(self) -> dict[str, int | float]:
        """Return every number under its key: overall, and as SEQUENCE/key those of single sequences."""
        of_sequences = {
            f"{name}/{key}": value for name, scored in self.sequences.items() for key, value in scored.numbers().items()
        }
        return self.overall.numbers() | of_sequences

    def save(self, path: Path) -> None:
        """Commit the result file."""
        save_result(self, path, finite=True)

    @classmethod
    def load(cls, path: Path) -> BenchmarkResult:
        """Return the result in a file that `save` wrote."""
        content = saved_values(path)
        submission = content["submission"]
        if submission is not None:
            texts = {kind: tuple(submission[kind]) for kind in ("faults", "warnings")}
            submission = PackedSubmission(submission["file"], submission["benchmark"], **texts)
        typed = {
            "sequences": {name: Scored.of(values) for name, values in content["sequences"].items()},
            "detectors": {name: Scored.of(values) for name, values in content["detectors"].items()},
            "overall": Scored.of(content["overall"]),
            "files": {name: SequenceResult.of(values) for name, values in content["files"].items()},
            "submission": submission,
            # Results of earlier versions lack them.
            "departures": tuple(content.get("departures", ())),
            "extensions": tuple(content["extensions"]),
        }
        return cls(**{**content, **typed})
