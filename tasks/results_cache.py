"""Cache of tracked sequences by the digest of their inputs, for another protocol or choice of sequences."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from pathlib import Path

from ssat.pipeline.benchmark_inputs import Prepared
from ssat.pipeline.benchmark_key import VERSION
from ssat.pipeline.sequence_result import SequenceResult, result_path
from ssat.pipeline.settings import BenchmarkSettings
from ssat.setting_marks import ByContent, Runtime, Scoring, without
from ssat.workspace import committed

_KEPT = "answer.json"


def results_key(
    entry: Prepared, settings: BenchmarkSettings, embedder_digest: str | None, detector_digest: str | None
) -> str:
    """Return SHA-256 over the sequence's content, the networks and the settings that tracking uses."""
    chosen = without(settings, ByContent, Runtime, Scoring)
    content = [VERSION, entry.digest, len(entry.frames), chosen, embedder_digest, detector_digest]
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def fetch_results(cache: Path, key: str, folder: Path, name: str) -> bool:
    """Put what was kept under `key` into `folder`, as if the sequence had just been tracked there.

    A cache with a file missing or damaged gives nothing: the sequence is tracked again.
    """
    done, kept = result_path(folder, name), cache / key
    if done.is_file() or not (kept / _KEPT).is_file():
        return done.is_file()
    try:
        result = SequenceResult.read(kept / _KEPT)
        for file in result.files:
            _link(kept / Path(file).name, folder / Path(file).name)
    except (OSError, ValueError, KeyError, TypeError):
        return False
    result.write(done)
    return True


def keep_results(cache: Path, key: str, folder: Path, result: SequenceResult) -> None:
    """Keep a tracked sequence's files under `key`, at no cost of space where the file system has hard links."""
    kept = cache / key
    if (kept / _KEPT).is_file():
        return
    kept.mkdir(parents=True, exist_ok=True)
    for file in result.files:
        _link(folder / file, kept / file)
    result.write(kept / _KEPT)


def _link(source: Path, target: Path) -> None:
    with committed(target) as temporary:
        try:
            os.link(source, temporary)
        except FileNotFoundError:
            raise
        except OSError:
            shutil.copyfile(source, temporary)
