"""Results that a workspace has already, found by their keys without any service."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from ssat.clips.collected import CollectResult
from ssat.clips.collector import Collector
from ssat.clips.roster import load_roster, roster_digest
from ssat.clips.settings import CollectSettings
from ssat.embedding.settings import TrainSettings
from ssat.file_names import BENCHMARK_RESULT
from ssat.frames.decoded import DecodedStore, DryDecoding, finished_store
from ssat.frames.manifest import Manifest
from ssat.frames.settings import DecodeSettings
from ssat.pipeline.benchmark_inputs import Prepared, prepare
from ssat.pipeline.benchmark_key import benchmark_folder
from ssat.pipeline.benchmark_result import BenchmarkResult
from ssat.pipeline.settings import BenchmarkSettings
from ssat.workspace import Workspace
from tasks.calibration import with_stored_calibration
from tasks.detectors import detector_digest
from tasks.embedders import identify_embedder, is_run
from tasks.trained import TrainedEmbedder, finished_training

_Result = TypeVar("_Result")


@dataclass(frozen=True)
class LocatedBenchmark:
    """A benchmark whose sequences are read and whose networks are identified.

    Attributes:
        settings: with the embedder's stored calibration.
        prepared: the sequences that it tracks.
        skipped: the others, with the reason.
        embedder_digest: of the embedder; None without one.
        folder: of its result.
    """

    settings: BenchmarkSettings
    prepared: list[Prepared]
    skipped: dict[str, str]
    embedder_digest: str | None
    folder: Path

    @property
    def result_file(self) -> Path:
        """The file of its result, which is written last."""
        return self.folder / BENCHMARK_RESULT

    def finished(self) -> BenchmarkResult | None:
        """Return the result of the same benchmark done before, or None."""
        return BenchmarkResult.load(self.result_file) if self.result_file.is_file() else None


def locate_benchmark(workspace: Workspace, settings: BenchmarkSettings) -> LocatedBenchmark:
    """Read the sequences of a benchmark, identify its networks and say where its result lies.

    Raises:
        InputError: sequences, detections, an embedder or a detector that cannot be used.
    """
    prepared, skipped = prepare(settings)
    embedder = None
    if settings.needs_appearance:
        with _lookup(workspace, settings.embedder):
            embedder = identify_embedder(settings.embedder, workspace, reid=settings.reid)
    settings = with_stored_calibration(settings, embedder, workspace)
    digest = None if embedder is None else embedder.digest
    folder = benchmark_folder(workspace, settings, prepared, digest, detector_digest(settings, workspace))
    return LocatedBenchmark(settings, prepared, skipped, digest, folder)


def _lookup(workspace: Workspace, embedder: str | None) -> AbstractContextManager[object]:
    """Return MLflow for a run or a model, nothing for other embedders."""
    if not is_run(embedder):
        return nullcontext()
    from tasks.services import mlflow_session

    return mlflow_session(workspace)


def finished_benchmark(workspace: Workspace, settings: BenchmarkSettings) -> BenchmarkResult | None:
    """Return the result of the same benchmark done before; None without one.

    An embedder that is named as a run or a model is looked up in MLflow.

    Raises:
        InputError: as `locate_benchmark`.
        ServiceError: the MLflow server that is named does not answer.
    """
    if not any(workspace.benchmark.glob(f"*/{BENCHMARK_RESULT}")):
        return None
    return locate_benchmark(workspace, settings).finished()


def with_trained(settings: BenchmarkSettings, workspace: Workspace, trained: TrainedEmbedder) -> BenchmarkSettings:
    """Return the settings of the benchmark that follows a training: its embedder, where none is named.

    By its file, not as the latest one: a training that was done before need not be the latest of the workspace.
    """
    if settings.embedder:
        return settings
    return settings.model_copy(update={"embedder": str(workspace.absolute(trained.embedder))})


def finished_collecting(workspace: Workspace, settings: CollectSettings) -> CollectResult | None:
    """Return the result of collecting where there is nothing left to collect, else None; nothing is downloaded.

    Raises:
        InputError: the list cannot be used, or the workspace was collected with other settings.
        WorkspaceError: another collector is at work in the workspace.
    """
    if not workspace.roster.is_file():
        return None
    with Collector(workspace, settings.model_copy(update={"wait_out_pauses": False})) as collector:
        if collector.next_shard() is not None:
            return None
        result = collector.result()
    return result if result.clips and not result.stopped and not result.pause_s else None


@dataclass(frozen=True)
class RunResult:
    """The result of each stage, and the minutes that each took; `benchmark` is None if it was not asked for."""

    minutes: dict[str, float]
    collect: CollectResult
    decode: DecodedStore | DryDecoding
    train: TrainedEmbedder
    benchmark: BenchmarkResult | None

    def as_json(self) -> Mapping[str, object]:
        """Return the stages by name; the benchmark's scores stand once more at the top."""
        stages = {"minutes": self.minutes, "collect": self.collect, "decode": self.decode, "train": self.train}
        if self.benchmark is None:
            return stages
        scores = {"sequences": self.benchmark.sequences, "overall": self.benchmark.overall}
        return {**stages, "benchmark": self.benchmark, **scores}


def finished_run(
    workspace: Workspace,
    collect: CollectSettings,
    decode: DecodeSettings,
    train: TrainSettings,
    benchmark: BenchmarkSettings | None,
) -> RunResult | None:
    """Return the result of the whole pipeline where every stage is done, else None.

    Raises:
        InputError: a list, footage, sequences or an embedder that cannot be used.
        WorkspaceError: another collector is at work in the workspace.
    """
    if not workspace.roster.is_file():
        return None
    minutes: dict[str, float] = {}

    def stage(name: str, work: Callable[[], _Result]) -> _Result:
        began = time.monotonic()
        result = work()
        minutes[name] = round((time.monotonic() - began) / 60, 2)
        return result

    decoded = stage("decode", lambda: finished_store(workspace, decode))
    trained = None if decoded is None else stage("train", lambda: finished_training(workspace, train))
    if decoded is None or trained is None:
        return None
    scored = None
    if benchmark is not None:
        chosen = with_trained(benchmark, workspace, trained)
        scored = stage("benchmark", lambda: finished_benchmark(workspace, chosen))
        if scored is None:
            return None
    # The list of clips last: it may be long, and is only needed if everything else is finished.
    collected = stage("collect", lambda: finished_collecting(workspace, collect))
    if collected is None or roster_digest(load_roster(workspace)) != Manifest.load(workspace.frames).roster_digest:
        return None  # there is more to collect, or a clip that was collected before has its class only now
    order = [name for name in ("collect", "decode", "train", "benchmark") if name in minutes]
    return RunResult({name: minutes[name] for name in order}, collected, decoded, trained, scored)
