"""The sequences of a benchmark, read and checked: no service and no network is needed for that."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from ssat.errors import InputError
from ssat.mot.find import find_sequences
from ssat.mot.rows import NO_ROWS, MotRows
from ssat.mot.sequence import MotSequence
from ssat.mot.splits import split_frames
from ssat.pipeline.feature_cache import frames_digest, rows_digest
from ssat.pipeline.settings import BenchmarkSettings


@dataclass(frozen=True)
class Prepared:
    """A sequence that can be tracked: read, checked and cut to the split."""

    sequence: MotSequence
    frames: range
    detections: MotRows
    truth: MotRows
    images: str  # digest of the frames; empty if none are needed
    digest: str  # of everything that is read of the sequence
    public: MotRows | None = None  # boxes near which new tracks may start, if a detector replaced them
    centres: np.ndarray | None = None  # (n, 2) of the detector's boxes
    offsets: np.ndarray | None = None  # (n, 2) from there to the frame before, likewise


def sequences_of(settings: BenchmarkSettings) -> list[MotSequence]:
    """Return the sequences that a benchmark means: below `mot`, a home folder's ~ included, of the part of its split.

    Raises:
        InputError: there are none, or one that is asked for is missing.
    """
    part: Literal["train", "test"] = "test" if settings.split == "test" else "train"
    return find_sequences(Path(settings.mot).expanduser(), settings.sequences, part=part)


def prepare(settings: BenchmarkSettings) -> tuple[list[Prepared], dict[str, str]]:
    """Return the sequences that can be tracked, and those that cannot with the reason.

    A sequence without frames is left out where appearance is asked for. Everything else is checked before any work is
    done: a fault in the last sequence is not found after an hour.

    Raises:
        InputError: no sequence, or a detection file, ground truth or set of frames that does not fit.
    """
    return _prepare(settings, digests=True)


def check_sequences(settings: BenchmarkSettings) -> None:
    """Check the sequences of a benchmark as `prepare` does, without reading their frames, which takes long.

    Raises:
        InputError: as `prepare`.
    """
    _prepare(settings, digests=False)


def _prepare(settings: BenchmarkSettings, *, digests: bool) -> tuple[list[Prepared], dict[str, str]]:
    sequences = sequences_of(settings)
    by_folder = {sequence.name: sequence.folder for sequence in sequences}
    for sequence in sequences:
        if by_folder[sequence.name] != sequence.folder:
            raise InputError(f"{sequence.folder} and {by_folder[sequence.name]} are both called {sequence.name}")
    prepared: list[Prepared] = []
    skipped: dict[str, str] = {}
    for sequence in sequences:
        if not sequence.has_frames and _detects(settings):
            skipped[sequence.name] = f"{sequence.no_frames}: there is nothing to detect in"
        elif settings.needs_appearance and not sequence.has_frames:
            skipped[sequence.name] = f"{sequence.no_frames}: appearance needs frames, the tracker box does not"
        else:
            prepared.append(_prepare_one(sequence, settings, digests=digests))
    if not prepared:
        reasons = ", ".join(sorted({sequence.no_frames for sequence in sequences}))
        raise InputError(
            f"{settings.mot}: {', '.join(skipped)}: {reasons}; appearance needs the frames, the tracker box does not"
        )
    return prepared, skipped


def _prepare_one(sequence: MotSequence, settings: BenchmarkSettings, *, digests: bool) -> Prepared:
    frames = split_frames(sequence.n_frames, settings.split)
    detections = _given_detections(sequence, settings).within(frames)
    if settings.min_score is not None:
        detections = detections.select(detections.scores >= settings.min_score)
    truth = NO_ROWS if settings.split == "test" else sequence.ground_truth().within(frames)
    if not len(truth) and settings.split != "test":
        raise InputError(
            f"{sequence.folder}: no ground truth in frames {frames.start} … {frames.stop - 1} (split {settings.split})"
        )
    images = ""
    if sequence.has_frames and (settings.needs_appearance or settings.video or _detects(settings)):
        sequence.check_images(frames)
        if not digests:
            return Prepared(sequence, frames, detections, truth, "", "")
        images = frames_digest(sequence, frames)
    labels = [truth.ids, truth.classes]
    content = [sequence.name, sequence.frame_rate, sequence.width, sequence.height, list(frames)[:1], images]
    digest = hashlib.sha256(json.dumps(content).encode())
    for rows in (detections, truth):
        digest.update(rows_digest(rows).encode())
    for column in labels:
        digest.update(column.tobytes())
    return Prepared(sequence, frames, detections, truth, images, digest.hexdigest())


def _given_detections(sequence: MotSequence, settings: BenchmarkSettings) -> MotRows:
    # Where a network detects, public boxes only decide which detections may start a track; not every data set has them.
    needed = not _detects(settings) or (settings.refine != "none" and settings.refinement.births == "public")
    if needed or sequence.detection_path(settings.detections).is_file():
        return sequence.detections(settings.detections)
    return NO_ROWS


def _detects(settings: BenchmarkSettings) -> bool:
    return settings.detector is not None or settings.refine != "none"


def data_digest(prepared: Iterable[Prepared]) -> str:
    """Return SHA-256 over everything that is read of the sequences: the digest of the data set."""
    return hashlib.sha256("".join(entry.digest for entry in prepared).encode()).hexdigest()
