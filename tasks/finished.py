"""Results that a workspace has already, found by their keys without any service."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ssat.clips.collected import CollectResult
from ssat.clips.collector import Collector
from ssat.clips.roster import load_roster, roster_digest
from ssat.clips.settings import CollectSettings
from ssat.embedding.settings import TrainSettings
from ssat.frames.decoded import finished_store
from ssat.frames.manifest import Manifest
from ssat.frames.settings import DecodeSettings
from ssat.pipeline.benchmark_inputs import Prepared, prepare
from ssat.pipeline.benchmark_key import RESULT_FILE, benchmark_folder
from ssat.pipeline.settings import BenchmarkSettings
from ssat.workspace import Workspace
from tasks.calibration import with_stored_calibration
from tasks.detectors import detector_digest
from tasks.embedders import identify_embedder, is_run
from tasks.trained import TrainedEmbedder, finished_training


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
        return self.folder / RESULT_FILE

    def finished(self) -> dict[str, Any] | None:
        """Return the result of the same benchmark done before, or None."""
        if not self.result_file.is_file():
            return None
        return {**json.loads(self.result_file.read_text()), "reused": True}


def locate_benchmark(workspace: Workspace, settings: BenchmarkSettings) -> LocatedBenchmark:
    """Read the sequences of a benchmark, identify its networks and say where its result lies.

    Raises:
        InputError: sequences, detections, an embedder or a detector that cannot be used.
    """
    prepared, skipped = prepare(settings)
    embedder = None
    if settings.needs_appearance:
        embedder = identify_embedder(settings.embedder, workspace, reid=settings.reid)
    settings = with_stored_calibration(settings, embedder, workspace)
    digest = None if embedder is None else embedder.digest
    folder = benchmark_folder(workspace, settings, prepared, digest, detector_digest(settings, workspace))
    return LocatedBenchmark(settings, prepared, skipped, digest, folder)


def finished_benchmark(workspace: Workspace, settings: BenchmarkSettings) -> dict[str, Any] | None:
    """Return the result of the same benchmark done before; None without one.

    None as well for an embedder that is named as a run, for which a tracking server has to be asked.

    Raises:
        InputError: as `locate_benchmark`.
    """
    if settings.needs_appearance and is_run(settings.embedder):
        return None
    if not any(workspace.benchmark.glob(f"*/{RESULT_FILE}")):
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
    with Collector(workspace, settings.model_copy(update={"wait_out_pauses": False})) as collector:
        if collector.next_shard() is not None:
            return None
        result = collector.result()
    return result if result.ranks and not result.stopped and not result.pause_s else None


def finished_run(
    workspace: Workspace,
    collect: CollectSettings,
    decode: DecodeSettings,
    train: TrainSettings,
    benchmark: BenchmarkSettings | None,
) -> dict[str, Any] | None:
    """Return the result of the whole pipeline where every stage is done, else None.

    Raises:
        InputError: a list, footage, sequences or an embedder that cannot be used.
        WorkspaceError: another collector is at work in the workspace.
    """
    result: dict[str, Any] = {}
    minutes: dict[str, float] = {}

    def stage(name: str, work: Callable[[], Any]) -> bool:
        began = time.monotonic()
        result[name] = work()
        minutes[name] = round((time.monotonic() - began) / 60, 2)
        return result[name] is not None

    if not workspace.roster.is_file():
        return None
    # The list of clips last: it may be long, and is only of interest where all else is there.
    done = stage("decode", lambda: finished_store(workspace, decode))
    done = done and stage("train", lambda: finished_training(workspace, train))
    if done and benchmark is not None:
        chosen = with_trained(benchmark, workspace, result["train"])
        done = stage("benchmark", lambda: finished_benchmark(workspace, chosen))
    if not (done and stage("collect", lambda: finished_collecting(workspace, collect))):
        return None
    if roster_digest(load_roster(workspace)) != Manifest.load(workspace.frames).roster_digest:
        return None  # a clip that was collected before has its class only now
    names = ("collect", "decode", "train", *(("benchmark",) if benchmark is not None else ()))
    scores = {key: result["benchmark"][key] for key in ("sequences", "overall")} if benchmark is not None else {}
    return {"minutes": {name: minutes[name] for name in names}, **{name: result[name] for name in names}, **scores}
