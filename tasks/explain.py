"""Why an identity of a benchmark began and ended: its sequence is tracked again from what is known."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path

from ssat.errors import InputError
from ssat.pipeline.settings import BenchmarkSettings
from ssat.tracking.config import TrackerName
from ssat.workspace import Workspace
from tasks.finished import locate_benchmark

_EXPLAINING: tuple[TrackerName, ...] = ("ssat", "box")


@dataclass(frozen=True)
class Asked:
    """An identity of a sequence, as its result file numbers it."""

    sequence: str
    identity: int

    @classmethod
    def parse(cls, text: str) -> Asked:
        """Return what `SEQUENCE:ID` asks for.

        Raises:
            InputError: another form.
        """
        sequence, separator, identity = text.rpartition(":")
        if not separator or not sequence or not identity.isdecimal() or int(identity) < 1:
            raise InputError(f"explain {text!r}: expected SEQUENCE:ID, such as MOT17-09-FRCNN:7")
        return cls(sequence, int(identity))


@dataclass(frozen=True)
class Explanation:
    """Why an identity began and ended, and the files that say so: a text and, where there are frames, a picture."""

    explanation: str
    explained: tuple[Path, ...]


def check_explain(settings: BenchmarkSettings, asked: Asked) -> None:
    """Refuse before any work what cannot be explained.

    Raises:
        InputError: a tracker that does not say why, or a sequence that is not tracked.
    """
    from ssat.pipeline.benchmark_inputs import sequences_of

    if settings.tracker not in _EXPLAINING:
        raise InputError(
            f"explain: tracker {settings.tracker} does not say why; expected tracker {' or '.join(_EXPLAINING)}"
        )
    names = [sequence.name for sequence in sequences_of(settings)]
    if asked.sequence not in names:
        raise InputError(f"explain: no sequence {asked.sequence}; this benchmark has {', '.join(names)}")


def explain_in_benchmark(workspace: Workspace, settings: BenchmarkSettings, asked: Asked) -> Explanation:
    """Track a sequence of a benchmark again, features from the cache; write why an identity began and ended.

    The files lie beside the benchmark's results, which stay as they are.

    Raises:
        InputError: as `check_explain`, an identity that does not occur, or a frame that cannot be decoded.
    """
    from ssat.pipeline.feature_cache import feature_key, load_features
    from ssat.report.explained import write_explanation
    from ssat.tracking.baselines import make_tracker
    from ssat.tracking.explain import Explainer
    from ssat.tracking.tracker import Tracker
    from tasks.detectors import resolve_detector
    from tasks.embedders import is_run, resolve_embedder
    from tasks.progress import progress_bar
    from tasks.sequences import detect_in_sequence, sequence_pipeline
    from tasks.services import mlflow_session

    check_explain(settings, asked)
    embedder = None
    with mlflow_session(workspace) if is_run(settings.embedder) else nullcontext():
        located = locate_benchmark(workspace, settings)
        if settings.needs_appearance:
            embedder = resolve_embedder(settings.embedder, workspace, reid=settings.reid)
    prepared = next((one for one in located.prepared if one.sequence.name == asked.sequence), None)
    if prepared is None:
        raise InputError(f"explain: {asked.sequence} was left out: {located.skipped[asked.sequence]}")
    settings = located.settings
    detector, refiner = resolve_detector(settings, workspace)
    if detector is not None:
        prepared, _ = detect_in_sequence.fn(
            asked.sequence, prepared, settings, detector, workspace.cache / "detections"
        )
    tracker = make_tracker(settings.tracker, settings.association, prepared.sequence.frame_rate)
    assert isinstance(tracker, Tracker)  # noqa: S101 - of the trackers that explain; for the type checker
    explainer = Explainer(asked.identity, settings.association)
    tracker.observer = explainer
    cached = None
    if embedder is not None and refiner is None:
        key = feature_key(embedder.digest, embedder.input_size, prepared.images, prepared.detections)
        cached = load_features(workspace.cache / "features", key, len(prepared.detections))
    with progress_bar(f"explain {asked.sequence}", len(prepared.frames)) as advance:
        pipeline = sequence_pipeline(
            prepared,
            settings,
            tracker,
            embedder,
            cached,
            refiner,
            [lambda frame, tracks: advance()],
            images=prepared.sequence.image_folder is not None,
            before=explainer.seen,
        )
        pipeline.run()
    located.folder.mkdir(parents=True, exist_ok=True)
    return Explanation(explainer.text(), tuple(write_explanation(explainer, located.folder, asked.sequence)))
