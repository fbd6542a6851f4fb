"""The sequences of a benchmark, tracked by one of BoxMOT's trackers in BoxMOT's own environment."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from prefect import task
from prefect.cache_policies import NO_CACHE

from ssat.errors import InputError
from ssat.mot.rows import write_results
from ssat.pipeline.benchmark_inputs import Prepared
from ssat.pipeline.feature_cache import feature_key, load_features, store_features
from ssat.pipeline.sequence_result import SequenceResult, result_path
from ssat.pipeline.settings import BenchmarkSettings
from ssat.pipeline.stage_seconds import StageSeconds
from ssat.studies.boxmot import BoxmotEnvironment, BoxmotRequest, track_with_boxmot
from ssat.studies.settings import BoxmotTracker
from ssat.workspace import Workspace
from tasks.sequences import detect_in_sequence

if TYPE_CHECKING:
    from ssat.embedding.protocol import PatchEmbedder
    from tasks.fan_out import Networks


@dataclass(frozen=True)
class Boxmot:
    """One of BoxMOT's trackers.

    Attributes:
        environment: where BoxMOT is installed.
        tracker: BoxMOT's name of it.
        timeout_seconds: longest time for one sequence.
        camera_motion: whether it follows the background, if it can.
    """

    environment: BoxmotEnvironment
    tracker: BoxmotTracker
    timeout_seconds: float
    camera_motion: bool = True

    @property
    def slug(self) -> str:
        """Return the name for a folder."""
        return "-".join(self.name.split())

    @property
    def name(self) -> str:
        """Return the tracker with BoxMOT's version, as it is recorded."""
        without = "" if self.camera_motion else " without camera motion"
        return f"boxmot {self.environment.version} {self.tracker}{without}"


def track_sequences_with_boxmot(
    prepared: list[Prepared],
    settings: BenchmarkSettings,
    folder: Path,
    workspace: Workspace,
    networks: Networks,
    boxmot: Boxmot,
) -> dict[str, SequenceResult]:
    """Return the result of every sequence by its name; the files are in `folder`.

    Raises:
        InputError: detections that follow from our tracks, or BoxMOT failed.
    """
    if settings.refine != "none":
        raise InputError(
            f"setting `refine` {settings.refine}: BoxMOT's trackers follow detections that were found beforehand; use "
            "`refine` none, or leave setting `boxmot_python` out"
        )
    answers = {}
    for sequence in prepared:
        name = sequence.sequence.name
        if networks.detector is not None and not result_path(folder, name).is_file():
            cache = workspace.cache / "detections"
            sequence = detect_in_sequence(name, sequence, settings, networks.detector, cache)[0]
        answers[name] = track_sequence_with_boxmot(
            name, sequence, folder, workspace.cache / "features", networks.embedder, boxmot
        )
    return answers


@task(
    name="track sequence with BoxMOT",
    task_run_name="track {name} with BoxMOT",
    persist_result=False,
    cache_policy=NO_CACHE,
)
def track_sequence_with_boxmot(
    name: str, prepared: Prepared, folder: Path, features_folder: Path, embedder: PatchEmbedder | None, boxmot: Boxmot
) -> SequenceResult:
    """Track one sequence and write its result file; does nothing where the same was done before.

    Raises:
        InputError: a frame that cannot be decoded, or BoxMOT failed.
    """
    done = result_path(folder, name)
    if done.is_file():
        return SequenceResult.read(done)
    sequence, detections = prepared.sequence, prepared.detections
    features, seconds = None, StageSeconds()
    if embedder is not None:
        features, seconds = known_features(prepared, embedder, features_folder)
    with_images = sequence.has_frames
    request = BoxmotRequest(
        prepared.frames,
        detections,
        features,
        tuple(sequence.image_path(frame) for frame in prepared.frames) if with_images else None,
        sequence.frame_rate,
        sequence.width,
        sequence.height,
        boxmot.camera_motion,
    )
    tracks = track_with_boxmot(boxmot.environment, boxmot.tracker, request, boxmot.timeout_seconds)
    # Without the start of BoxMOT's process, and on one thread.
    seconds = replace(seconds, associate=tracks.cpu_seconds + tracks.camera_seconds)
    rows = tracks.rows
    write_results(
        folder / f"{name}.txt", detections.frames[rows], tracks.ids, detections.boxes[rows], detections.scores[rows]
    )
    notes = [f"{tracks.no_direction} detections without appearance were given one that is equal for all"]
    result = SequenceResult(
        results=f"{name}.txt",
        n_frames=len(prepared.frames),
        n_detections=len(detections),
        seconds=seconds,
        notes=tuple(notes if tracks.no_direction else ()),
        association_cpu_seconds=tracks.cpu_seconds,
    )
    result.write(done)
    return result


def known_features(
    prepared: Prepared, embedder: PatchEmbedder, folder: Path
) -> tuple[NDArray[np.float32], StageSeconds]:
    """Return the features (n, F) of a sequence's detections and their seconds by stage, from the cache where it can.

    Raises:
        InputError: a frame that cannot be decoded.
    """
    from ssat.pipeline.pipeline import track_frames
    from ssat.tracking.tracker import Tracker
    from ssat.video.sources import read_ahead

    detections = prepared.detections
    key = feature_key(embedder.digest, embedder.input_size, prepared.images, detections)
    cached = load_features(folder, key, len(detections))
    if cached is None:
        source = prepared.sequence.frame_source(prepared.frames)
        tracked = track_frames(read_ahead(source), detections, Tracker(), embedder=embedder)
        features = tracked.features
        if features is None:  # a sequence without any detection
            features = np.zeros((len(detections), 1), np.float32)
        store_features(folder, key, features, tracked.seconds)
        seconds = tracked.seconds
    else:
        features, seconds = cached.features, cached.seconds
    return features, StageSeconds(**seconds.of_tracker)
