"""The online tracker: two rounds of association, then births."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ssat.errors import InputError
from ssat.tracking.assignment import greedy, hungarian
from ssat.tracking.config import TrackerConfig
from ssat.tracking.distances import box_distance, cosine_distance

_FIRST_ID = 1


@dataclass(frozen=True)
class Tracks:
    """What the tracker says about one frame, a row per detection, in the order of the detections.

    Attributes:
        ids: identities (n,), counted from 1, never used again.
        boxes: (n, 4) x1 y1 x2 y2 in pixels.
        detection_index: (n,) which of the frame's detections each row is.
        scores: (n,) scores of those detections, or None where none were given.
    """

    ids: NDArray[np.int64]
    boxes: NDArray[np.float64]
    detection_index: NDArray[np.intp]
    scores: NDArray[np.float64] | None = None

    def __len__(self) -> int:
        return len(self.ids)


class Tracker:
    """Gives the detections of one frame after the other identities, by appearance and by place, without look-ahead.

    State is held in arrays, a row per track that is alive, in the order of their births; it grows with the number of
    tracks alive at a time, not with the number of frames.

    Args:
        config: constants and switches; the paper's by default.
        frame_rate: frames per second; a track is lost for at most `config.lost_seconds` of them.
    """

    def __init__(self, config: TrackerConfig | None = None, frame_rate: float = 30.0) -> None:
        if not (math.isfinite(frame_rate) and frame_rate > 0):
            raise InputError(f"frame rate {frame_rate}: expected a positive number of frames per second")
        self.config = config or TrackerConfig()
        # A hair of tolerance: 0.29 s at 100 fps are 29 frames, though the product is 28.999999999999996.
        self._life = math.floor(self.config.lost_seconds * frame_rate + 1e-6)
        self._assign = greedy if self.config.assignment == "greedy" else hungarian
        self._next_id = _FIRST_ID
        self._ids = np.empty(0, np.int64)
        self._boxes = np.empty((0, 4), np.float64)
        self._missed = np.empty(0, np.int64)  # frames since the last match: 0 is tracked, more is lost
        self._features: NDArray[np.float32] | None = None  # zero rows: tracks whose appearance is not known
        self._faceless = False  # some row of _features may be zero

    @property
    def n_alive(self) -> int:
        """Tracks that are tracked or can still be found again."""
        return len(self._ids)

    def update(self, boxes: ArrayLike, features: ArrayLike | None, scores: ArrayLike | None = None) -> Tracks:
        """Associates the detections of the next frame.

        Args:
            boxes: (D, 4) x1 y1 x2 y2 in source pixels.
            features: (D, F) appearance, of any length (they are L2-normalised here); a zero row means that the
                patch was empty and that the box distance alone decides; None means so for every detection, which
                makes this the box tracker.
            scores: (D,) detector scores; they do not influence the association and are handed through.

        Raises:
            InputError: values that are not finite, boxes of negative size, shapes that do not fit, features of
                another width than before, or neither features nor box term to go by.
        """
        boxes_D4 = _checked_boxes(boxes)
        n_detections = len(boxes_D4)
        features_DF, faceless = self._checked_features(features, n_detections)
        scores_D = None if scores is None else _checked_scores(scores, n_detections)

        distance_TD = self._distances(boxes_D4, features_DF, faceless)
        was_lost_T = self._missed > 0
        self._missed += 1
        ids_D = np.zeros(n_detections, np.int64)

        # Round 2 sees only tracks that were lost before this frame: otherwise tau1 would mean nothing.
        tracked = (~was_lost_T).nonzero()[0]
        rows, taken = self._assign(distance_TD[tracked], self.config.tau1)
        matched = tracked[rows]
        lost = was_lost_T.nonzero()[0]
        if len(lost):
            free_D = np.ones(n_detections, bool)
            free_D[taken] = False
            free = free_D.nonzero()[0]
            rows, columns = self._assign(distance_TD[lost[:, None], free], self.config.tau2)
            matched, taken = np.concatenate((matched, lost[rows])), np.concatenate((taken, free[columns]))
        if len(matched):
            self._match(matched, taken, boxes_D4, features_DF)
            ids_D[taken] = self._ids[matched]

        alive = self._missed <= self._life
        if not alive.all():
            self._keep(alive)
        born = (ids_D == 0).nonzero()[0]
        if len(born):
            self._add(born, boxes_D4, features_DF, ids_D)
        if faceless:
            self._faceless = True
        return Tracks(ids_D, boxes_D4, np.arange(n_detections), scores_D)

    def _distances(
        self, boxes_D4: NDArray[np.float64], features_DF: NDArray[np.float32] | None, faceless: bool
    ) -> NDArray[np.float64]:
        """Equation 2: appearance and box distance, 1:1; the box distance alone where an appearance is missing."""
        by_box = box_distance(self._boxes, boxes_D4, self.config.alpha) if self.config.box_term else None
        if features_DF is None or self._features is None:
            if by_box is None:
                return np.full((len(self._ids), len(boxes_D4)), np.inf)
            return by_box
        distance_TD = cosine_distance(self._features, features_DF)
        if faceless or self._faceless:
            known_T, known_D = (self._features != 0).any(axis=1), (features_DF != 0).any(axis=1)
            unknown = ~(known_T[:, None] & known_D)
            # Without a box term there is nothing left to go by, and no pair may match.
            distance_TD[unknown] = np.inf if by_box is None else 0.0
        if by_box is not None:
            distance_TD += by_box
        return distance_TD

    def _match(
        self,
        tracks: NDArray[np.intp],
        detections: NDArray[np.intp],
        boxes_D4: NDArray[np.float64],
        features_DF: NDArray[np.float32] | None,
    ) -> None:
        self._boxes[tracks] = boxes_D4[detections]
        self._missed[tracks] = 0
        if features_DF is not None and self._features is not None:
            self._features[tracks] = accumulated(
                self._features[tracks], features_DF[detections], self.config.beta if self.config.accumulate else 1.0
            )

    def _keep(self, alive: NDArray[np.bool_]) -> None:
        self._ids, self._boxes, self._missed = self._ids[alive], self._boxes[alive], self._missed[alive]
        if self._features is not None:
            self._features = self._features[alive]

    def _add(
        self,
        born: NDArray[np.intp],
        boxes_D4: NDArray[np.float64],
        features_DF: NDArray[np.float32] | None,
        ids_D: NDArray[np.int64],
    ) -> None:
        ids = np.arange(self._next_id, self._next_id + len(born))
        self._next_id += len(born)
        ids_D[born] = ids
        self._ids = np.concatenate((self._ids, ids))
        self._boxes = np.concatenate((self._boxes, boxes_D4[born]))
        self._missed = np.concatenate((self._missed, np.zeros(len(born), np.int64)))
        if self._features is not None:
            if features_DF is None:
                features_DF = np.zeros((len(ids_D), self._features.shape[1]), np.float32)
            self._features = np.concatenate((self._features, features_DF[born]))

    def _checked_features(self, features: ArrayLike | None, n: int) -> tuple[NDArray[np.float32] | None, bool]:
        """L2-normalised features and whether some are zero."""
        if features is None:
            if not self.config.box_term:
                raise InputError("no features and no box term: nothing to associate by; give features or set box_term")
            return None, self._features is not None
        features_DF = np.asarray(features, np.float32)
        if features_DF.ndim != 2 or len(features_DF) != n:
            raise InputError(f"features have shape {features_DF.shape}; expected ({n}, F), a row per detection")
        width = features_DF.shape[1]
        if self._features is None:
            # Tracks that were born without features have zero rows until a detection brings some.
            self._features = np.zeros((len(self._ids), width), np.float32)
            self._faceless = len(self._ids) > 0
        elif width != self._features.shape[1]:
            raise InputError(f"features have width {width}, earlier frames had {self._features.shape[1]}")
        length_D = np.sqrt(np.einsum("df,df->d", features_DF, features_DF))
        if not np.isfinite(length_D).all():
            raise InputError(f"the feature of detection {int((~np.isfinite(length_D)).argmax())} is not finite")
        faceless = not length_D.all()
        if faceless:
            length_D[length_D == 0] = 1.0
        return features_DF / length_D[:, None], faceless


def accumulated(old_NF: NDArray[np.float32], new_NF: NDArray[np.float32], beta: float) -> NDArray[np.float32]:
    """Equation 3: beta times the new feature plus (1 − beta) times the old one, L2-normalised.

    A zero row is an appearance that is not known: the other one stands. Opposite features that cancel out keep the
    old one.
    """
    mixed_NF = (1.0 - beta) * old_NF + beta * new_NF
    length_N = np.sqrt(np.einsum("nf,nf->n", mixed_NF, mixed_NF))
    if not length_N.all():
        nothing = length_N == 0
        mixed_NF[nothing] = old_NF[nothing]
        length_N[nothing] = 1.0
    mixed_NF /= length_N[:, None]
    return mixed_NF


def _checked_boxes(boxes: ArrayLike) -> NDArray[np.float64]:
    boxes_D4 = np.array(boxes, np.float64)  # a copy: the tracker's answer must not change with the caller's array
    if not boxes_D4.size:
        return np.empty((0, 4), np.float64)
    if boxes_D4.ndim != 2 or boxes_D4.shape[1] != 4:
        raise InputError(f"boxes have shape {boxes_D4.shape}; expected (D, 4): x1 y1 x2 y2 in pixels")
    # A comparison with NaN is false, so this finds NaN as well.
    sound = (boxes_D4[:, 2:] >= boxes_D4[:, :2]).all() and np.isfinite(boxes_D4).all()
    if not sound:
        bad = ~((boxes_D4[:, 2:] >= boxes_D4[:, :2]).all(1) & np.isfinite(boxes_D4).all(1))
        first = int(bad.argmax())
        raise InputError(f"box of detection {first} is {boxes_D4[first].tolist()}; expected finite x1 ≤ x2, y1 ≤ y2")
    return boxes_D4


def _checked_scores(scores: ArrayLike, n: int) -> NDArray[np.float64]:
    scores_D = np.array(scores, np.float64)
    if scores_D.shape != (n,):
        raise InputError(f"scores have shape {scores_D.shape}; expected ({n},), one per detection")
    return scores_D
