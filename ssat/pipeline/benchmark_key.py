"""The key and folder of a benchmark's result: the same benchmark is run once."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from ssat.pipeline.benchmark_inputs import Prepared, data_digest
from ssat.pipeline.settings import BenchmarkSettings
from ssat.setting_marks import ByContent, Runtime, without
from ssat.workspace import Workspace

# Part of every key: raise it when the tracker, the protocols or the drawing change the result.
VERSION = 2
# Part of the key of benchmarks alone: raise it when their result gets new fields; tracked sequences are kept.
_TOLD = "ceiling"


def benchmark_folder(
    workspace: Workspace,
    settings: BenchmarkSettings,
    prepared: list[Prepared],
    embedder_digest: str | None,
    detector_digest: str | None = None,
) -> Path:
    """Return the folder of this benchmark: one per data, settings and networks."""
    chosen = without(settings, ByContent, Runtime)
    key = json.dumps([VERSION, _TOLD, chosen, embedder_digest, detector_digest, data_digest(prepared)], sort_keys=True)
    return workspace.benchmark / hashlib.sha256(key.encode()).hexdigest()[:16]
