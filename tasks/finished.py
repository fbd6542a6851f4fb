"""Results that a workspace has already, found by their keys without any service."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ssat.file_names import BENCHMARK_RESULT
from ssat.pipeline.benchmark_inputs import Prepared, prepare
from ssat.pipeline.benchmark_key import benchmark_folder
from ssat.pipeline.benchmark_result import BenchmarkResult
from ssat.pipeline.settings import BenchmarkSettings
from ssat.workspace import Workspace
from tasks.calibration import with_stored_calibration
from tasks.detectors import detector_digest
from tasks.embedders import identify_embedder, is_run


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
        embedder = identify_embedder(settings.embedder, workspace, reid=settings.reid)
    settings = with_stored_calibration(settings, embedder, workspace)
    digest = None if embedder is None else embedder.digest
    folder = benchmark_folder(workspace, settings, prepared, digest, detector_digest(settings, workspace))
    return LocatedBenchmark(settings, prepared, skipped, digest, folder)


def finished_benchmark(workspace: Workspace, settings: BenchmarkSettings) -> BenchmarkResult | None:
    """Return the result of the same benchmark done before; None without one.

    None as well for an embedder that is named as a run, for which a tracking server has to be asked.

    Raises:
        InputError: as `locate_benchmark`.
    """
    if settings.needs_appearance and is_run(settings.embedder):
        return None
    if not any(workspace.benchmark.glob(f"*/{BENCHMARK_RESULT}")):
        return None
    return locate_benchmark(workspace, settings).finished()
