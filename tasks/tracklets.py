"""The baseline that learns from tracklets: trained once per data and settings."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from prefect import task
from prefect.cache_policies import NO_CACHE

from ssat.mot.splits import split_frames
from ssat.once import once
from ssat.pipeline.feature_cache import frames_digest, rows_digest
from ssat.reporter import Reporter
from ssat.studies.settings import TrackersStudySettings
from ssat.workspace import committed
from tasks.progress import progress_bar

_VERSION = 1
_RESULT = "tracklets.json"


def unlabelled_digest(settings: TrackersStudySettings) -> str:
    """Return SHA-256 over the frames and detections that it learns from, and over how.

    Raises:
        InputError: no such sequence, or one without frames or detections.
    """
    from ssat.studies.tracklets import unlabelled_sequences

    chosen = settings.tracklets
    parts: list[Any] = [_VERSION, chosen.model_dump(mode="json")]
    for sequence in unlabelled_sequences(settings.unlabelled):
        frames = split_frames(sequence.n_frames, chosen.split)
        sequence.check_images(frames)
        rows = sequence.detections(chosen.detections).within(frames)
        parts.append(
            [
                sequence.name,
                sequence.frame_rate,
                frames_digest(sequence, frames),
                rows_digest(rows),
            ]
        )
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


@dataclass(frozen=True)
class TrackletTraining:
    """A training on tracklets: its embedder's file, how much it learned from, and a row for each epoch."""

    tracklets: int
    patches: int
    sequences: tuple[str, ...]
    history: list[dict[str, float]]
    embedder: str


@task(name="train on tracklets", persist_result=False, cache_policy=NO_CACHE)
def train_tracklet_embedder(settings: TrackersStudySettings, folder: Path, reporter: Reporter) -> TrackletTraining:
    """Train the baseline's network into `folder`, or return what was trained there before."""
    from ssat.studies.tracklets import collect_tracklets, train_on_tracklets, unlabelled_sequences

    done, target = folder / _RESULT, folder / "tracklets.safetensors"

    def load(file: Path) -> TrackletTraining:
        kept = json.loads(file.read_text())
        return TrackletTraining(**{**kept, "sequences": tuple(kept["sequences"])}, embedder=str(target))

    def train() -> TrackletTraining:
        found = collect_tracklets(unlabelled_sequences(settings.unlabelled), settings.tracklets)
        history: list[dict[str, float]] = []
        with progress_bar("train on tracklets", settings.tracklets.epochs) as advance:

            def note(row: dict[str, float]) -> None:
                history.append(row)
                reporter.scalars({key: value for key, value in row.items() if key != "epoch"}, int(row["epoch"]))
                advance()

            embedder = train_on_tracklets(found, settings.tracklets, note)
        embedder.save(target)
        trained = TrackletTraining(found.classes, len(found.patches), tuple(found.per_sequence), history, str(target))
        content = {name: value for name, value in asdict(trained).items() if name != "embedder"}
        with committed(done) as temporary:
            temporary.write_text(json.dumps(content))
        return trained

    return once(done, load, train, lock=None)
