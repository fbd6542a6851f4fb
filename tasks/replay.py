"""Track sequences of a benchmark again, with detections and features from the cache."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from typing import TYPE_CHECKING

from ssat.errors import InputError
from ssat.pipeline.settings import BenchmarkSettings
from ssat.workspace import Workspace
from tasks.finished import locate_benchmark

if TYPE_CHECKING:
    from ssat.pipeline.frames import DetectedFrame
    from ssat.pipeline.sinks import Sink
    from ssat.tracking.explain import Explainer
    from ssat.tracking.tracker import Tracks
    from ssat.video.sources import Image
    from tasks.live import LiveFrame


class BenchmarkReplay:
    """The sequences of a benchmark, its embedder and its detectors, to be tracked again.

    Attributes:
        located: the benchmark's sequences, its settings with every path resolved, and the folder of its results.
    """

    def __init__(self, workspace: Workspace, settings: BenchmarkSettings) -> None:
        """Resolve the embedder and the detectors.

        Raises:
            InputError: an embedder, detections or sequences that cannot be read.
        """
        from tasks.detectors import resolve_detector
        from tasks.embedders import is_run, resolve_embedder
        from tasks.services import mlflow_session

        self._workspace = workspace
        self._embedder = None
        with mlflow_session(workspace) if is_run(settings.embedder) else nullcontext():
            self.located = locate_benchmark(workspace, settings)
            if settings.needs_appearance:
                self._embedder = resolve_embedder(settings.embedder, workspace, reid=settings.reid)
        self._detector, self._refiner = resolve_detector(self.located.settings, workspace)

    def track(
        self,
        name: str,
        title: str,
        *,
        sinks: Sequence[Sink] = (),
        before: Callable[[int, Image | None], None] | None = None,
        observer: Explainer | None = None,
        images: bool = False,
        live: bool = False,
    ) -> None:
        """Track one sequence.

        Args:
            name: of the sequence.
            title: of the progress bar.
            sinks: called with each frame and its tracks.
            before: called with number and image of every frame before it is associated.
            observer: called with every decision of the tracker.
            images: read the images of the frames in any case, if the sequence has them.
            live: no frame waits for another, so tracks are shown from their confirmation on.

        Raises:
            InputError: a sequence that was left out, or a frame that cannot be decoded.
        """
        from ssat.pipeline.feature_cache import feature_key, load_features
        from ssat.tracking.baselines import make_tracker
        from ssat.tracking.tracker import Tracker
        from tasks.progress import progress_bar
        from tasks.sequences import detect_in_sequence, sequence_pipeline

        settings, cache = self.located.settings, self._workspace.cache
        prepared = next((entry for entry in self.located.prepared if entry.sequence.name == name), None)
        if prepared is None:
            raise InputError(f"{title}: {name} was left out: {self.located.skipped[name]}")
        if self._detector is not None:
            prepared, _ = detect_in_sequence.fn(name, prepared, settings, self._detector, cache / "detections")
        tracker = make_tracker(settings.tracker, settings.association, prepared.sequence.frame_rate)
        if isinstance(tracker, Tracker):
            tracker.observer = observer
        cached = None
        if self._embedder is not None and self._refiner is None:
            key = feature_key(self._embedder.digest, self._embedder.input_size, prepared.images, prepared.detections)
            cached = load_features(cache / "features", key, len(prepared.detections))
        with progress_bar(f"{title} {name}", len(prepared.frames)) as advance:
            pipeline = sequence_pipeline(
                prepared,
                settings,
                tracker,
                self._embedder,
                cached,
                self._refiner,
                [*sinks, lambda frame, tracks: advance()],
                images=images and prepared.sequence.has_frames,
                before=before,
                live=live,
            )
            pipeline.run()


def show_live(workspace: Workspace, settings: BenchmarkSettings, show: Callable[[LiveFrame], None]) -> None:
    """Track the sequences of a benchmark again as an online tracker does, one after the other.

    Args:
        workspace: has the cache.
        settings: of the benchmark.
        show: called with the tracks of each frame as soon as they are known.

    Raises:
        InputError: as `BenchmarkReplay`.
    """
    from tasks.live import LiveFrame

    replay = BenchmarkReplay(workspace, settings)
    for name in (prepared.sequence.name for prepared in replay.located.prepared):

        def sink(frame: DetectedFrame, tracks: Tracks, name: str = name) -> None:
            show(LiveFrame.of(frame, tracks, name))

        replay.track(name, "live", sinks=[sink], live=True)
