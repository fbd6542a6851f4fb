"""What tracking a sequence gave, kept by what it followed from: another protocol or choice of sequences finds it."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from pathlib import Path
from typing import Any

from ssat.pipeline.settings import BenchmarkSettings
from ssat.workspace import committed
from tasks.benchmark import NOT_IN_KEY, VERSION, Prepared

_FILES = ("results", "video", "picture")


def results_key(
    one: Prepared, settings: BenchmarkSettings, embedder_digest: str | None, detector_digest: str | None
) -> str:
    """SHA-256 over the sequence's content, the networks and the settings that tracking looks at."""
    chosen = settings.model_dump(mode="json", exclude={**NOT_IN_KEY, "protocol": True, "split": True})
    content = [VERSION, one.digest, len(one.frames), chosen, embedder_digest, detector_digest]
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def fetch_results(cache: Path, key: str, folder: Path, name: str) -> bool:
    """Puts what was kept under `key` into `folder`, as if the sequence had just been tracked there.

    A cache with a file missing or damaged gives nothing: the sequence is tracked again.
    """
    done, kept = folder / f"{name}.json", cache / key
    if done.is_file() or not (kept / "answer.json").is_file():
        return done.is_file()
    try:
        answer: dict[str, Any] = json.loads((kept / "answer.json").read_text())
        for kind in _FILES:
            if kind in answer:
                _link(kept / Path(answer[kind]).name, folder / Path(answer[kind]).name)
    except (OSError, ValueError, TypeError):
        return False
    with committed(done) as temporary:
        temporary.write_text(json.dumps(answer))
    return True


def keep_results(cache: Path, key: str, folder: Path, name: str, answer: dict[str, Any]) -> None:
    """Keeps a tracked sequence's files under `key`, at no cost of space where the file system has hard links."""
    kept = cache / key
    if (kept / "answer.json").is_file():
        return
    kept.mkdir(parents=True, exist_ok=True)
    for kind in _FILES:
        if kind in answer:
            _link(folder / answer[kind], kept / answer[kind])
    with committed(kept / "answer.json") as temporary:
        temporary.write_text(json.dumps(answer))


def _link(source: Path, target: Path) -> None:
    with committed(target) as temporary:
        try:
            os.link(source, temporary)
        except FileNotFoundError:
            raise
        except OSError:
            shutil.copyfile(source, temporary)
