"""CenterTrack's own association: each detection goes back by its offset and takes the nearest track there."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ssat.detection.detections import Detections
from ssat.tracking.tracker import InitRule, Tracks


class CenterTrackAssociation:
    """Greedy association by place alone (Zhou et al. 2020, section 4.2).

    Detections are taken in the order of their scores. Each, moved back by its offset, takes the nearest track of the
    frame before that is still free and nearer than the geometric mean of the detection's width and height. A track that
    none takes ends: a person missing for one frame gets a new identity. Without the network's offsets they are
    zero, and the nearest old centre wins.
    """

    def __init__(self) -> None:
        self._next_id = 1
        self._ids = np.empty(0, np.int64)
        self._centres = np.empty((0, 2))

    def skip(self, frames: int) -> None:
        """Drop all tracks: they live from one frame to the next only."""
        if frames > 0:
            self._ids, self._centres = self._ids[:0], self._centres[:0]

    def associate(self, found: Detections, features: NDArray[np.float32] | None, init_rule: InitRule | None) -> Tracks:
        """Return the tracks of the next frame; appearance is not used."""
        sides = np.clip(found.boxes[:, 2:] - found.boxes[:, :2], 0, None)
        reach_D = np.sqrt(sides.prod(axis=1))
        before_D2 = found.centres + found.offsets
        distance_DT = np.linalg.norm(before_D2[:, None] - self._centres[None], axis=2)
        distance_DT[distance_DT >= reach_D[:, None]] = np.inf
        ids_D = np.zeros(len(found), np.int64)
        if len(self._ids):
            for row in np.argsort(-found.scores, kind="stable"):
                nearest = int(distance_DT[row].argmin())
                if np.isfinite(distance_DT[row, nearest]):
                    ids_D[row] = self._ids[nearest]
                    distance_DT[:, nearest] = np.inf
        new = (ids_D == 0).nonzero()[0]
        if init_rule is not None and len(new):
            new = new[init_rule(new)]
        ids_D[new] = np.arange(self._next_id, self._next_id + len(new))
        self._next_id += len(new)
        kept = ids_D.nonzero()[0]
        self._ids, self._centres = ids_D[kept], found.centres[kept]
        return Tracks(ids_D[kept], found.boxes[kept], kept, found.scores[kept])
