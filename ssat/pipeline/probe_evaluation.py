"""Score of an embedder on footage without labels: one number, computed during a training."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ssat.embedding.protocol import PatchEmbedder
from ssat.errors import InputError
from ssat.mot.rows import MotRows
from ssat.pipeline.footage import footage_digest, last_frame, open_footage
from ssat.pipeline.inputs import TrackInput
from ssat.pipeline.row_features import features_of_rows
from ssat.tracking.probe import HARD_GAPS_SECONDS, HARD_REJOIN_SECONDS, MIN_PAIRS, ProbeFootage
from ssat.tracking.probe_auc import ProbeAuc, mean_auc, measurable
from ssat.tracking.tracklets import LinkRule
from ssat.video.sources import FrameSource

# At 0.1 s almost every feature ranks almost every pair correctly: that gap does not distinguish features.
GAPS_SECONDS = HARD_GAPS_SECONDS
# Frames per gap from which pairs are drawn, over all footage: the interval depends on the tracklets, not on the frames.
_ANCHORS, _MIN_ANCHORS = 80, 12


@dataclass(frozen=True)
class _Probed:
    """Footage with its pairs, and the rows whose features the pairs need."""

    source: FrameSource
    detections: MotRows
    pairs: ProbeFootage
    rows: NDArray[np.intp]


class ProbeEvaluation:
    """Score embedders by the probe on all footage of a folder (see `ssat.pipeline.footage.open_footage`).

    The score is the mean area under the ROC curve at gaps of 1, 2 and 3 seconds over all footage; gaps at which a
    footage has too few pairs are left out. Pairs of two embedders are the same, and are resampled alike.

    Args:
        folder: of the footage.
        anchors: frames per gap from which pairs are drawn, over all footage.
        after: only the frames after this share of each footage.
        min_score: leave out detections that score less.

    Attributes:
        digest: of the footage; scores of different digests cannot be compared.
        notes: what is too little to be measured, for people.

    Raises:
        InputError: no usable footage, or none with enough pairs at any gap; names folder and footage.
    """

    def __init__(
        self, folder: Path | str, anchors: int = _ANCHORS, *, after: float = 0.0, min_score: float | None = None
    ) -> None:
        opened = open_footage(folder, min_score)
        each = max(_MIN_ANCHORS, anchors // len(opened))
        self.digest = footage_digest(opened)
        self.notes: list[str] = []
        self._footage: list[_Probed] = []
        for footage in opened:
            probed = _probed(footage, Path(folder), each, after)
            gaps = {pairs.gap_seconds for pairs in measurable(probed.pairs)}
            self.notes += [
                f"{footage.name}: fewer than {MIN_PAIRS} pairs of a kind at a gap of {gap:g} s: left out"
                for gap in GAPS_SECONDS
                if gap not in gaps
            ]
            if gaps:
                self._footage.append(probed)
        if not self._footage:
            raise InputError(
                f"{folder}: too little to probe: {'; '.join(self.notes)}. Expected people who are detected in "
                f"consecutive frames for more than {min(GAPS_SECONDS):g} s, several at a time; give longer footage"
            )

    @property
    def footages(self) -> int:
        """Number of pieces of footage."""
        return len(self._footage)

    def score(self, embedder: PatchEmbedder, advance: Callable[[], None] = lambda: None) -> ProbeAuc:
        """Return the mean AUC of `embedder`.

        Args:
            embedder: what is scored.
            advance: called after every processed frame.
        """
        features = [
            features_of_rows(probed.source, probed.detections, probed.rows, embedder, advance)
            for probed in self._footage
        ]
        return mean_auc([probed.pairs for probed in self._footage], features)

    def __call__(self, embedder: PatchEmbedder) -> dict[str, float]:
        """Return `probe_auc`, `probe_auc_low` and `probe_auc_high`, as an evaluation of a training."""
        return self.score(embedder).named()


def _probed(footage: TrackInput, folder: Path, anchors: int, after: float) -> _Probed:
    rows, source = footage.detections, footage.source
    if rows is None or source is None:
        raise ValueError(f"{footage.name}: no detections or no frames")
    rows = rows.select(rows.frames > last_frame(footage) * after)
    try:
        pairs = ProbeFootage.of_boxes(
            rows.frames,
            rows.boxes,
            footage.frame_rate,
            gaps_seconds=GAPS_SECONDS,
            rule=LinkRule(rejoin_seconds=HARD_REJOIN_SECONDS),
            max_anchors=anchors,
        )
    except InputError as error:
        raise InputError(f"{folder}: {footage.name}: {error}") from error
    needed = [part for gap in measurable(pairs) for part in (gap.first, gap.second)]
    return _Probed(source, rows, pairs, np.unique(np.concatenate([np.empty(0, np.intp), *needed])))
