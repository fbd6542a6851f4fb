"""The sequences of a benchmark one after another in this process, or concurrently on Ray."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from prefect import task
from prefect.cache_policies import NO_CACHE

from ssat.embedding.named import COLOUR, IMAGENET, EmbedderPart, assembled, load_part
from ssat.embedding.reid_input import ReidInput
from ssat.errors import InputError
from ssat.mot.rows import MotRows
from ssat.pipeline.benchmark_inputs import Prepared
from ssat.pipeline.sequence_result import SequenceResult, result_path
from ssat.pipeline.settings import BenchmarkSettings
from ssat.workspace import Workspace
from tasks.environment import ray_is_named
from tasks.progress import progress_bar
from tasks.progress_artifact import progress_artifact
from tasks.results_cache import fetch_results, keep_results, results_key
from tasks.sequences import detect_in_sequence, track_sequence
from tasks.services import available_cpus, ray_session

if TYPE_CHECKING:
    from ssat.detection.centertrack_detector import CenterTrackDetector
    from ssat.detection.detector import Detector
    from ssat.detection.torchvision_detector import TorchvisionDetector
    from ssat.embedding.protocol import PatchEmbedder

# A local Ray and its workers, which load torch, take some ten CPU-seconds: worthwhile from this many frames on.
_MIN_FRAMES_FOR_RAY = 600


@dataclass(frozen=True)
class Networks:
    """The networks that process frames; None if not needed."""

    embedder: PatchEmbedder | None
    detector: TorchvisionDetector | CenterTrackDetector | None
    refiner: CenterTrackDetector | None

    @property
    def digests(self) -> tuple[str | None, str | None]:
        """Of the embedder and of the network that detects."""
        detecting = self.detector or self.refiner
        return (
            None if self.embedder is None else self.embedder.digest,
            None if detecting is None else detecting.digest,
        )


@dataclass(frozen=True)
class SequenceJob:
    """One sequence for a worker, which loads the networks itself, from files."""

    prepared: Prepared
    settings: BenchmarkSettings
    root: str
    folder: Path
    embedder: tuple[EmbedderPart, ...] | None


def track_sequences(
    prepared: list[Prepared], settings: BenchmarkSettings, folder: Path, workspace: Workspace, networks: Networks
) -> dict[str, SequenceResult]:
    """Return the result of every sequence by its name; the files are in `folder`.

    What was tracked before with the same content, settings and networks is taken from the workspace's cache.

    Raises:
        InputError: a frame that cannot be decoded, or a machine of the cluster that does not see the files.
        ServiceError: a named Ray does not answer.
    """
    keys = {entry.sequence.name: results_key(entry, settings, *networks.digests) for entry in prepared}
    for name, key in keys.items():
        fetch_results(workspace.cache / "results", key, folder, name)
    waiting = [entry for entry in prepared if not result_path(folder, entry.sequence.name).is_file()]
    if _on_ray(waiting, settings):
        with ray_session():
            track_on_ray(waiting, settings, folder, workspace, networks)
    answers = {}
    for entry in prepared:
        name = entry.sequence.name
        answers[name] = _track_here(entry, settings, folder, workspace, networks)
        keep_results(workspace.cache / "results", keys[name], folder, answers[name])
    return answers


def tracked_detections(
    prepared: list[Prepared],
    settings: BenchmarkSettings,
    workspace: Workspace,
    detector: Detector | None,
    refiner: CenterTrackDetector | None,
) -> dict[str, MotRows]:
    """Return the detections of every sequence, those of a network from its cache; none where tracks lead the network.

    There the detections depend on the tracks, and no other association would have had the same ones.
    """
    if refiner is not None or settings.split == "test":
        return {}
    cache, found = workspace.cache / "detections", {}
    for entry in prepared:
        name = entry.sequence.name
        tracked = entry if detector is None else detect_in_sequence.fn(name, entry, settings, detector, cache)[0]
        found[name] = tracked.detections
    return found


def _on_ray(waiting: list[Prepared], settings: BenchmarkSettings) -> bool:
    if settings.side_by_side == "never" or not waiting:
        return False
    if settings.side_by_side == "always" or ray_is_named():
        return True
    looked_at = sum(len(entry.frames) for entry in waiting if entry.images)
    return len(waiting) > 1 and available_cpus() > 1 and looked_at >= _MIN_FRAMES_FOR_RAY


def _track_here(
    entry: Prepared, settings: BenchmarkSettings, folder: Path, workspace: Workspace, networks: Networks
) -> SequenceResult:
    name, rate = entry.sequence.name, 0.0
    if networks.detector is not None and not result_path(folder, name).is_file():
        entry, rate = detect_in_sequence(name, entry, settings, networks.detector, workspace.cache / "detections")
    return track_sequence(
        name, entry, settings, folder, workspace.cache / "features", networks.embedder, networks.refiner, rate
    )


@task(name="track sequences on Ray", persist_result=False, cache_policy=NO_CACHE)
def track_on_ray(
    waiting: list[Prepared], settings: BenchmarkSettings, folder: Path, workspace: Workspace, networks: Networks
) -> None:
    """Track `waiting` concurrently; each leaves its files in `folder`, which all machines must see.

    Raises:
        InputError: a frame that cannot be decoded, or a machine that does not see the files.
        ServiceError: the workers of a sequence died again and again.
    """
    from tasks.ray_work import run_bounded, share_cluster

    embedder = None if networks.embedder is None else _parts(networks.embedder, workspace)
    # The longest first, so that it does not run alone at the end.
    ordered = sorted(waiting, key=lambda entry: (-len(entry.frames), entry.sequence.name))
    jobs = [SequenceJob(entry, settings, str(workspace.root), folder, embedder) for entry in ordered]
    total = sum(len(entry.frames) for entry in waiting)
    finished = 0
    with (
        progress_bar(f"track {len(jobs)} sequences on Ray, frames", total) as bar,
        progress_artifact(bar, "tracking-progress"),
    ):

        def poll(running: Sequence[SequenceJob]) -> None:
            bar.in_flight(len(running), len(jobs) - finished - len(running), "sequences")

        for job, _ in run_bounded(_track_on_worker, jobs, share_cluster(len(jobs)), poll):
            finished += 1
            bar(len(job.prepared.frames))


def _parts(embedder: PatchEmbedder, workspace: Workspace) -> tuple[EmbedderPart, ...]:
    """Return what a worker loads: files that all machines see, and names of baselines."""
    from ssat.embedding.combined import CombinedEmbedder

    if isinstance(embedder, CombinedEmbedder):
        names = [_part(part, workspace) for part in embedder.parts]
        return tuple(map(EmbedderPart, names, embedder.weights))
    return (EmbedderPart(_part(embedder, workspace)),)


def _part(embedder: PatchEmbedder, workspace: Workspace) -> str:
    from ssat.embedding.colour import ColourEmbedder
    from ssat.embedding.embedder import Embedder
    from ssat.embedding.imagenet import ImagenetEmbedder
    from ssat.embedding.onnx_embedder import OnnxEmbedder
    from ssat.embedding.reid_onnx import ReidOnnxEmbedder

    if isinstance(embedder, ColourEmbedder):
        return COLOUR
    if isinstance(embedder, ImagenetEmbedder):
        return IMAGENET
    if isinstance(embedder, OnnxEmbedder | ReidOnnxEmbedder):
        return str(embedder.path.resolve())
    if not isinstance(embedder, Embedder):
        raise TypeError(f"{type(embedder).__name__} cannot be sent to a worker")
    path = workspace.cache / "embedders" / f"{embedder.digest}.safetensors"
    if not path.is_file():
        embedder.save(path)
    return str(path)


def _track_on_worker(job: SequenceJob, threads: int) -> None:
    import ray
    import torch

    node = ray.util.get_node_ip_address()
    for path in _needed(job):
        if not path.exists():
            raise InputError(
                f"the machine {node} of the Ray cluster does not see {path}: sequences and workspace must lie on a "
                "file system that all machines share, under the same path; or use --side-by-side never"
            )
    torch.set_num_threads(threads)
    detector, refiner = _detectors(job.settings, job.root)
    workspace = Workspace(Path(job.root))
    entry, name, rate = job.prepared, job.prepared.sequence.name, 0.0
    # The functions themselves: a worker has no Prefect run to report to.
    if detector is not None:
        entry, rate = detect_in_sequence.fn(name, entry, job.settings, detector, workspace.cache / "detections")
    embedder = None if job.embedder is None else _embedder(job.embedder, job.settings.reid)
    track_sequence.fn(name, entry, job.settings, job.folder, workspace.cache / "features", embedder, refiner, rate)


def _needed(job: SequenceJob) -> Iterator[Path]:
    yield job.folder
    if job.prepared.images:
        yield job.prepared.sequence.frame_file(job.prepared.frames[-1])


# A worker tracks one sequence after another: it loads each network once.
@lru_cache(maxsize=1)
def _embedder(parts: tuple[EmbedderPart, ...], reid: ReidInput) -> PatchEmbedder:
    return assembled(parts, lambda name: load_part(name, reid))


@lru_cache(maxsize=1)
def _detectors(
    settings: BenchmarkSettings, root: str
) -> tuple[TorchvisionDetector | CenterTrackDetector | None, CenterTrackDetector | None]:
    from tasks.detectors import resolve_detector

    return resolve_detector(settings, Workspace(Path(root)))
