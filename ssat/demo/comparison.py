"""The demo's sequences tracked by methods that need no training, against the ceiling of association."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from ssat.embedding.protocol import PatchEmbedder
from ssat.mot.ceiling import oracle_results
from ssat.mot.find import find_sequences
from ssat.mot.protocols import Protocol
from ssat.mot.rows import MotRows, write_results
from ssat.mot.score_values import Scores
from ssat.mot.scores import ToScore, score
from ssat.mot.sequence import MotSequence
from ssat.pipeline.inputs import read_frames
from ssat.pipeline.pipeline import track_frames
from ssat.tracking.config import QUICK_ALPHA, TrackerConfig
from ssat.tracking.tracker import Tracker

_PROTOCOL: Protocol = "motchallenge"
BOX, COLOUR = "box term alone", "colour"
CEILING = "ceiling of association"


@dataclass(frozen=True)
class Method:
    """One way to track.

    Attributes:
        embedder: gives the appearance; None: boxes alone.
        config: of the tracker.
        interpolate_seconds: gaps that are filled in the result.
    """

    embedder: PatchEmbedder | None = None
    config: TrackerConfig = field(default_factory=lambda: TrackerConfig(alpha=QUICK_ALPHA))
    interpolate_seconds: float = 0.0


def untrained_methods() -> dict[str, Method]:
    """Return the methods that need neither training nor weights: name → method."""
    from ssat.embedding.colour import ColourEmbedder

    colour = ColourEmbedder()
    return {
        BOX: Method(),
        COLOUR: Method(colour),
        "colour, preset strong": Method(colour, TrackerConfig.strong(), 1.0),
    }


def compare(
    mot: Path, methods: Mapping[str, Method], folder: Path, *, advance: Callable[[int], None] = lambda done: None
) -> dict[str, Scores]:
    """Track all sequences below `mot` with every method on the same detections.

    Args:
        methods: name → method.
        folder: the result files go below it, to `result_path`.
        advance: called with 1 after every sequence that a method has tracked.

    Returns:
        name → scores over all sequences, protocol `motchallenge`. The last one, `CEILING`, is what those detections
        would score with the right identities.
    """
    sequences = find_sequences(mot)
    scores = {}
    for name, method in methods.items():
        to_score = {}
        for sequence in sequences:
            rows = _tracked(sequence, method)
            path = result_path(folder, name, sequence.name)
            path.parent.mkdir(parents=True, exist_ok=True)
            write_results(path, rows.frames, rows.ids, rows.boxes, rows.scores)
            to_score[sequence.name] = _to_score(sequence, rows)
            advance(1)
        _, scores[name] = score(to_score, _PROTOCOL)
    ideal = {
        sequence.name: _to_score(
            sequence, oracle_results(sequence.detections(), sequence.ground_truth(), protocol=_PROTOCOL)
        )
        for sequence in sequences
    }
    _, scores[CEILING] = score(ideal, _PROTOCOL)
    return scores


def result_path(folder: Path, method: str, sequence: str) -> Path:
    """Return the result file of a method for a sequence: its folder has the method's name with dashes."""
    return folder / method.replace(",", "").replace(" ", "-") / f"{sequence}.txt"


def _tracked(sequence: MotSequence, method: Method) -> MotRows:
    numbers = range(1, sequence.n_frames + 1)
    # A tracker that follows the camera needs the images too.
    images = method.embedder is not None or method.config.camera_motion
    return track_frames(
        read_frames(sequence.frame_source(numbers), numbers, images=images),
        sequence.detections(),
        Tracker(method.config, sequence.frame_rate),
        embedder=method.embedder,
        fill_gaps=round(method.interpolate_seconds * sequence.frame_rate),
    ).rows()


def _to_score(sequence: MotSequence, rows: MotRows) -> ToScore:
    return ToScore(sequence.ground_truth(), rows, range(1, sequence.n_frames + 1), sequence.rules)
