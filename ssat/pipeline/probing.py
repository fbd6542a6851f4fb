"""Probe footage: measure how well features distinguish people, without labels."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ssat.embedding.protocol import PatchEmbedder
from ssat.errors import InputError
from ssat.file_names import LABELS, SEQUENCE_INFO
from ssat.mot.ceiling import true_identities
from ssat.mot.rows import MotRows
from ssat.mot.sequence import MotSequence
from ssat.mot.splits import split_frames
from ssat.pipeline.detecting import detect_all
from ssat.pipeline.inputs import TrackInput
from ssat.pipeline.row_features import features_of_rows
from ssat.pipeline.settings import ProbeSettings
from ssat.tracking.probe import MIN_PAIRS, GapScore, ProbeFootage, ProbeScore, purity
from ssat.tracking.tracklets import LinkRule
from ssat.video.sources import FrameSource

if TYPE_CHECKING:
    from ssat.detection.detector import Detector

_FEW_LINKED = 0.5  # below this share of linked detections the pairs do not represent the footage


@dataclass(frozen=True)
class ProbedFeature:
    """One embedder on one footage.

    Attributes:
        embedder: as it was named.
        digest: of the embedder.
        score: without labels.
        labelled: by the labels, per gap; empty if there are none.
        tau: for each threshold of the tracker, the raw distance (1 − cosine) that it stands for after calibration.
    """

    embedder: str
    digest: str
    score: ProbeScore
    labelled: tuple[GapScore, ...]
    tau: dict[str, float]


@dataclass(frozen=True)
class Probed:
    """Result of a probe on one footage.

    Attributes:
        frames: that have detections.
        tracklets: of two boxes or more.
        linked: share of detections that are in one of these.
        purity: share of links that labels confirm; NaN without labels.
        notes: what was too little to be measured.
    """

    name: str
    frames: int
    detections: int
    tracklets: int
    linked: float
    purity: float
    features: tuple[ProbedFeature, ...]
    notes: tuple[str, ...]


@dataclass(frozen=True)
class Footage:
    """Frames with all their detections, and the pairs that the probe compares.

    Attributes:
        truth: labelled identity (n,) of every detection, 0 if none matches; None without labels.
    """

    name: str
    source: FrameSource
    detections: MotRows
    pairs: ProbeFootage
    labelled: ProbeFootage | None
    truth: NDArray[np.int64] | None


def load_footage(
    opened: TrackInput,
    settings: ProbeSettings,
    given: Path | str,
    detector: Detector | None = None,
    cache: Path | None = None,
    advance: Callable[[], None] = lambda: None,
) -> Footage:
    """Detect where no detections are given, link them and collect the pairs.

    Args:
        given: the input as it was named; a MOTChallenge sequence may have labels.
        cache: folder in which detections are kept.
        advance: called after every frame that a detector processed.

    Raises:
        InputError: no frames to look at, or footage that cannot be probed.
    """
    if opened.source is None:
        raise InputError(f"{opened.name}: labels only, no frames (img1): the probe needs the people in the frames")
    rows = opened.detections
    if rows is None:
        if detector is None:
            raise ValueError("neither detections nor a detector")
        rows = detect_all(opened.source, detector, cache, advance).rows
    if opened.numbers is not None:
        rows = rows.within(split_frames(opened.numbers.stop - 1, settings.split))
    elif settings.split != "train":
        raise InputError(f"{opened.name}: split {settings.split} needs frames that are counted beforehand; use train")
    rule = LinkRule(rejoin_seconds=settings.rejoin_seconds)
    try:
        pairs = ProbeFootage.of_boxes(
            rows.frames, rows.boxes, opened.frame_rate, gaps_seconds=settings.gaps_seconds, rule=rule
        )
    except InputError as error:
        raise InputError(f"{opened.name}: {error}") from error
    truth, labelled = _labels(given, rows), None
    if truth is not None and (truth > 0).any():
        labelled = ProbeFootage.of_labels(
            rows.frames, rows.boxes, truth, opened.frame_rate, gaps_seconds=settings.gaps_seconds
        )
    return Footage(opened.name, opened.source, rows, pairs, labelled, truth)


def probe(
    footage: Footage,
    embedders: Sequence[tuple[str, PatchEmbedder]],
    settings: ProbeSettings,
    advance: Callable[[], None] = lambda: None,
) -> Probed:
    """Score every embedder on the same pairs.

    Args:
        embedders: name and embedder.
        advance: called after every processed frame, for each embedder.
    """
    rows, pairs = footage.detections, footage.pairs
    wanted = pairs.rows if footage.labelled is None else np.union1d(pairs.rows, footage.labelled.rows)
    features = []
    for name, embedder in embedders:
        matrix = features_of_rows(footage.source, rows, wanted, embedder, advance)
        score = pairs.score(matrix, settings.seed)
        labelled = () if footage.labelled is None else footage.labelled.score(matrix, settings.seed).gaps
        scale = score.calibration.scale
        tau = {"tau1": settings.tau1 / scale, "tau2": settings.tau2 / scale}
        features.append(ProbedFeature(name, embedder.digest, score, labelled, tau))
    return Probed(
        name=footage.name,
        frames=len(np.unique(rows.frames)),
        detections=len(rows),
        tracklets=pairs.n_tracklets,
        linked=_linked(pairs),
        purity=float("nan") if footage.truth is None else purity(pairs.tracklets, footage.truth),
        features=tuple(features),
        notes=tuple(_notes(footage)),
    )


def _linked(pairs: ProbeFootage) -> float:
    lengths = np.bincount(pairs.tracklets)
    return float((lengths[pairs.tracklets] >= 2).mean())


def _notes(footage: Footage) -> Iterator[str]:
    linked = _linked(footage.pairs)
    if linked < _FEW_LINKED:
        yield (
            f"only {100 * linked:.0f} % of {len(footage.detections)} detections could be linked to another frame, so "
            "the numbers are of those alone; a camera or people that move by a quarter of a box's width from frame to "
            "frame, detections that come and go and crowds do that; a higher frame rate helps"
        )
    for pairs in footage.pairs.pairs:
        positives = int(pairs.same.sum())
        negatives = len(pairs.same) - positives
        if min(positives, negatives) < MIN_PAIRS:
            yield (
                f"gap {pairs.gap_seconds:g} s: {positives} pairs of one person and {negatives} of two, fewer than "
                f"{MIN_PAIRS} of a kind: not measured; give longer footage or a shorter gap"
            )
    if len(footage.pairs.same_frame) < MIN_PAIRS:
        yield (
            f"the calibration rests on {len(footage.pairs.same_frame)} pairs of people in one frame, "
            f"fewer than {MIN_PAIRS}: do not rely on it"
        )


def _labels(given: Path | str, rows: MotRows) -> NDArray[np.int64] | None:
    folder = Path(given).expanduser()
    if not (folder / SEQUENCE_INFO).is_file() or not (folder / LABELS).is_file():
        return None
    return true_identities(rows, MotSequence.open(folder).ground_truth())
