"""The median appearance distance between people, kept with the embedder that it was measured for."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import TypeVar

from ssat.embedding.protocol import Identified, PatchEmbedder
from ssat.errors import InputError, WorkspaceError
from ssat.pipeline.settings import BenchmarkSettings, TrackSettings
from ssat.tracking.calibration import MIN_PAIRS
from ssat.tracking.probe import Calibration
from ssat.workspace import Workspace, committed
from tasks.embedders import embedder_files

FACT = "calibration"
_MEDIAN, _PAIRS = "same_frame_median", "pairs"
Settings = TypeVar("Settings", TrackSettings, BenchmarkSettings)


def with_stored_calibration(settings: Settings, embedder: Identified | None, workspace: Workspace) -> Settings:
    """Return the settings with the median that is stored for the embedder, where they calibrate and name none."""
    association = settings.association
    if embedder is None or not association.calibrate or association.stored_median is not None:
        return settings
    median = stored_median(embedder, workspace)
    if median is None:
        return settings
    return settings.model_copy(update={"association": association.model_copy(update={"stored_median": median})})


def stored_median(embedder: Identified, workspace: Workspace) -> float | None:
    """Return the median of 1 − cosine between people of one frame that was stored for an embedder; None: none was.

    Raises:
        InputError: a stored file that is damaged.
    """
    path = _file(embedder, workspace)
    where, stored = str(path), None
    if path.is_file():
        try:
            stored = json.loads(path.read_text())
        except ValueError as error:
            raise InputError(f"{path}: not JSON ({error}); remove it, or store it again with `ssat probe`") from error
    else:
        where, stored = "the embedder's file", getattr(embedder, "facts", {}).get(FACT)
        if stored is None:
            return None
    median = stored.get(_MEDIAN) if isinstance(stored, dict) else None
    if not isinstance(median, int | float) or not (math.isfinite(median) and 0 < median <= 2):
        raise InputError(
            f"{where}: {_MEDIAN} {median!r}; expected a number above 0 and up to 2. Probe the footage again"
        )
    return float(median)


def store_calibration(
    spec: str | None, embedder: PatchEmbedder, measured: Sequence[Calibration], workspace: Workspace
) -> Path | None:
    """Store the median of one or several footages for later tracking; None if they have fewer than 20 pairs.

    Of several footages it is the mean of their medians, weighted by the number of pairs. A safetensors file of ours
    takes it into its metadata. For everything else (ONNX files, runs, `colour`, several embedders) it goes into the
    workspace under the embedder's digest.

    Args:
        spec: how the embedder was named.

    Raises:
        WorkspaceError: it could not be written.
    """
    usable = [probe for probe in measured if probe.pairs and math.isfinite(probe.scale)]
    pairs = sum(probe.pairs for probe in usable)
    if pairs < MIN_PAIRS:
        return None
    median = sum(probe.same_frame_median * probe.pairs for probe in usable) / pairs
    stored = {_MEDIAN: round(median, 6), _PAIRS: pairs}
    files = embedder_files(spec, workspace)
    if len(files) == 1 and files[0].suffix == ".safetensors":
        from ssat.embedding.embedder import Embedder

        own = Embedder.load(files[0], device="cpu")
        own.facts[FACT] = stored
        own.save(files[0])
        return files[0]
    path = _file(embedder, workspace)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with committed(path) as temporary:
            temporary.write_text(json.dumps(stored))
    except OSError as error:
        raise WorkspaceError(f"{path}: the calibration could not be written ({error})") from error
    return path


def _file(embedder: Identified, workspace: Workspace) -> Path:
    return workspace.calibration / f"{embedder.digest}.json"
