"""Results that a workspace has already, found by their keys without any service."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ssat.pipeline.benchmark_inputs import Prepared, prepare
from ssat.pipeline.benchmark_key import RESULT_FILE, benchmark_folder
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
