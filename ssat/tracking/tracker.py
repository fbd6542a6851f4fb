"""The online tracker: two rounds of association, then births."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ssat.errors import InputError
from ssat.tracking.assignment import greedy, hungarian
from ssat.tracking.checks import checked_boxes, checked_scores, normalised_features
from ssat.tracking.config import TrackerConfig
from ssat.tracking.distances import accumulated, box_distance, cosine_distance
from ssat.tracking.motion import Motion, moved_boxes

_FIRST_ID = 1

# Which of the detections that no track took may begin one: their rows → a share of them, True where it may.
Births = Callable[[NDArray[np.intp]], NDArray[np.bool_]]


@dataclass(frozen=True)
class Tracks:
    """What the tracker says about one frame, a row per tracked detection, in the order of the detections.

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


@dataclass(frozen=True)
class Association:
    """All that one frame was decided by; for whoever watches the tracker (`Tracker.observer`).

    Attributes:
        ids, boxes, missed: (T,) (T, 4) (T,) the tracks as they stood before the frame; missed 0 is tracked.
        by_look, by_box: (T, D) the two distances; None where that one was not used.
        distance: (T, D) what was compared with the thresholds.
        detections, scores: (D, 4) (D,) what was given.
        detection_ids: (D,) the identity that each got; 0: none.
        born, dropped: identities that began and ended with this frame.
    """

    ids: NDArray[np.int64]
    boxes: NDArray[np.float64]
    missed: NDArray[np.int64]
    by_look: NDArray[np.float64] | None
    by_box: NDArray[np.float64] | None
    distance: NDArray[np.float64]
    detections: NDArray[np.float64]
    scores: NDArray[np.float64] | None
    detection_ids: NDArray[np.int64]
    born: NDArray[np.int64]
    dropped: NDArray[np.int64]


class Tracker:
    """Gives the detections of one frame after the other identities, by appearance and by place, without look-ahead.

    State is held in arrays, a row per track that is alive, in the order of their births; it grows with the number of
    tracks alive at a time, not with the number of frames. `ssat.tracking.state` saves and restores it.

    Args:
        config: constants and switches; the paper's by default.
        frame_rate: frames per second; a track is lost for at most `config.lost_seconds` of them.

    Attributes:
        observer: called with the `Association` of every frame; None: nobody watches.
    """

    def __init__(self, config: TrackerConfig | None = None, frame_rate: float = 30.0) -> None:
        if not (math.isfinite(frame_rate) and frame_rate > 0):
            raise InputError(f"frame rate {frame_rate}: expected a positive number of frames per second")
        self.config = config or TrackerConfig()
        self.frame_rate = frame_rate
        self.observer: Callable[[Association], None] | None = None
        # A hair of tolerance: 0.29 s at 100 fps are 29 frames, though the product is 28.999999999999996.
        self._life = math.floor(self.config.lost_seconds * frame_rate + 1e-6)
        self._assign = greedy if self.config.assignment == "greedy" else hungarian
        self._next_id = _FIRST_ID
        self._ids = np.empty(0, np.int64)
        self._boxes = np.empty((0, 4), np.float64)
        self._missed = np.empty(0, np.int64)  # frames since the last match: 0 is tracked, more is lost
        self._features: NDArray[np.float32] | None = None  # zero rows: tracks whose appearance is not known
        self._faceless = False  # some row of _features may be zero
        self._motion = Motion() if self.config.motion == "kalman" else None

    @property
    def n_alive(self) -> int:
        """Tracks that are tracked or can still be found again."""
        return len(self._ids)

    @property
    def lost(self) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """Identities (L,) and last boxes (L, 4) of the tracks that the frame before did not show."""
        lost = self._missed > 0
        return self._ids[lost], self._boxes[lost]

    def skip(self, frames: int) -> None:
        """Frames went by that nobody saw (a stream that dropped, say): all tracks are lost for as long."""
        if frames > 0:
            self._missed += frames
            self._keep(self._missed <= self._life)

    def update(
        self,
        boxes: ArrayLike,
        features: ArrayLike | None,
        scores: ArrayLike | None = None,
        *,
        births: Births | None = None,
        camera: ArrayLike | None = None,
    ) -> Tracks:
        """Associates the detections of the next frame.

        Args:
            boxes: (D, 4) x1 y1 x2 y2 in source pixels.
            features: (D, F) appearance, of any length (they are L2-normalised here); a zero row means that the
                patch was empty and that the box distance alone decides; None means so for every detection, which
                makes this the box tracker.
            scores: (D,) detector scores; handed through, and used only where `config.low_score` is set.
            births: says which of the detections that no track took may begin one, given their rows; the others are
                left out of the answer. By default each of them begins one.
            camera: (2, 3) where points of the frame before are in this one; looked at where `config.camera_motion`.

        Raises:
            InputError: values that are not finite, boxes of negative size, shapes that do not fit, features of
                another width than before, or neither features nor box term to go by.
        """
        boxes_D4 = checked_boxes(boxes)
        n_detections = len(boxes_D4)
        features_DF, faceless = self._checked_features(features, n_detections)
        scores_D = None if scores is None else checked_scores(scores, n_detections)
        if self._motion is not None or (camera is not None and self.config.camera_motion):
            self._move(camera)

        by_box = box_distance(self._boxes, boxes_D4, self.config.alpha) if self.config.box_term else None
        by_look, distance_TD = self._distances(by_box, features_DF, faceless, n_detections)
        before = self._ids, self._boxes, self._missed
        if self.observer is not None:
            before = self._ids.copy(), self._boxes.copy(), self._missed.copy()
        weak_D = None
        if self.config.low_score is not None and scores_D is not None:
            weak_D = scores_D < self.config.low_score
        tracks, taken, certain = self._rounds(distance_TD, weak_D)
        self._missed += 1
        ids_D = np.zeros(n_detections, np.int64)
        if len(tracks):
            self._match(tracks, taken, boxes_D4, None if features_DF is None else features_DF, certain)
            ids_D[taken] = self._ids[tracks]

        alive = self._missed <= self._life
        dropped = self._ids[:0]
        if not alive.all():
            dropped = self._ids[~alive]
            self._keep(alive)
        born = (ids_D == 0 if weak_D is None else (ids_D == 0) & ~weak_D).nonzero()[0]
        if births is not None and len(born):
            born = born[births(born)]
        if len(born):
            self._add(born, boxes_D4, features_DF, ids_D)
        if faceless:
            self._faceless = True
        if self.observer is not None:
            self.observer(
                Association(*before, by_look, by_box, distance_TD, boxes_D4, scores_D, ids_D, ids_D[born], dropped)
            )
        if births is None and weak_D is None:
            return Tracks(ids_D, boxes_D4, np.arange(n_detections), scores_D)
        kept = ids_D.nonzero()[0]
        return Tracks(ids_D[kept], boxes_D4[kept], kept, None if scores_D is None else scores_D[kept])

    def _rounds(
        self, distance_TD: NDArray[np.float64], weak_D: NDArray[np.bool_] | None
    ) -> tuple[NDArray[np.intp], NDArray[np.intp], int]:
        """Rows of the tracks and of the detections that match, and how many of them are not of the last, weak round."""
        was_lost_T = self._missed > 0
        lost = was_lost_T.nonzero()[0]
        # Round 2 sees only tracks that were lost before this frame: otherwise tau1 would mean nothing.
        if weak_D is None and not len(lost):
            tracks, taken = self._assign(distance_TD, self.config.tau1)
            return tracks, taken, len(tracks)
        tracked = (~was_lost_T).nonzero()[0]
        free_D = np.ones(distance_TD.shape[1], bool) if weak_D is None else ~weak_D
        if weak_D is None:
            rows, taken = self._assign(distance_TD.take(tracked, axis=0), self.config.tau1)
        else:
            strong = free_D.nonzero()[0]
            rows, columns = self._assign(distance_TD[tracked[:, None], strong], self.config.tau1)
            taken = strong[columns]
        tracks = tracked[rows]
        if len(lost):
            free_D[taken] = False
            free = free_D.nonzero()[0]
            rows, columns = self._assign(distance_TD.take(lost, axis=0).take(free, axis=1), self.config.tau2)
            tracks, taken = np.concatenate((tracks, lost[rows])), np.concatenate((taken, free[columns]))
        certain = len(tracks)
        if weak_D is not None and weak_D.any():
            left, weak = np.setdiff1d(tracked, tracks), weak_D.nonzero()[0]
            rows, columns = self._assign(distance_TD[left[:, None], weak], self.config.tau1)
            tracks, taken = np.concatenate((tracks, left[rows])), np.concatenate((taken, weak[columns]))
        return tracks, taken, certain

    def _distances(
        self,
        by_box: NDArray[np.float64] | None,
        features_DF: NDArray[np.float32] | None,
        faceless: bool,
        n_detections: int,
    ) -> tuple[NDArray[np.float64] | None, NDArray[np.float64]]:
        """Equation 2: appearance and box distance, 1:1; the box distance alone where an appearance is missing."""
        if features_DF is None or self._features is None:
            return None, np.full((len(self._ids), n_detections), np.inf) if by_box is None else by_box
        distance_TD = cosine_distance(self._features, features_DF)
        if faceless or self._faceless:
            known_T, known_D = (self._features != 0).any(axis=1), (features_DF != 0).any(axis=1)
            unknown = ~(known_T[:, None] & known_D)
            # Without a box term there is nothing left to go by, and no pair may match.
            distance_TD[unknown] = np.inf if by_box is None else 0.0
        by_look = None if self.observer is None else distance_TD.copy()
        if by_box is not None:
            distance_TD += by_box
        return by_look, distance_TD

    def _move(self, camera: ArrayLike | None) -> None:
        affine = None
        if camera is not None and self.config.camera_motion:
            affine = np.asarray(camera, np.float64)
            if affine.shape != (2, 3) or not np.isfinite(affine).all():
                raise InputError(f"camera motion has shape {affine.shape}; expected a finite (2, 3) affine map")
        if self._motion is None:
            if affine is not None:
                self._boxes = moved_boxes(self._boxes, affine)
            return
        if affine is not None:
            self._motion.move(affine)
        self._boxes = self._motion.predict()

    def _match(
        self,
        tracks: NDArray[np.intp],
        detections: NDArray[np.intp],
        boxes_D4: NDArray[np.float64],
        features_DF: NDArray[np.float32] | None,
        certain: int,
    ) -> None:
        self._boxes[tracks] = boxes_D4[detections]
        self._missed[tracks] = 0
        if self._motion is not None:
            self._motion.correct(tracks, boxes_D4[detections])
        # A weak detection is often half hidden: it tells where somebody is, not what they look like.
        tracks, detections = tracks[:certain], detections[:certain]
        if features_DF is not None and self._features is not None:
            self._features[tracks] = accumulated(
                self._features.take(tracks, axis=0),
                features_DF.take(detections, axis=0),
                self.config.beta if self.config.accumulate else 1.0,
            )

    def _keep(self, alive: NDArray[np.bool_]) -> None:
        self._ids, self._boxes, self._missed = self._ids[alive], self._boxes[alive], self._missed[alive]
        if self._motion is not None:
            self._motion.keep(alive)
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
        if self._motion is not None:
            self._motion.add(boxes_D4[born])
        if self._features is not None:
            if features_DF is None:
                features_DF = np.zeros((len(ids_D), self._features.shape[1]), np.float32)
            self._features = np.concatenate((self._features, features_DF[born]))

    def _checked_features(self, features: ArrayLike | None, n: int) -> tuple[NDArray[np.float32] | None, bool]:
        """L2-normalised features and whether some are zero."""
        if features is None:
            if n and not self.config.box_term:
                raise InputError("no features and no box term: nothing to associate by; give features or set box_term")
            return None, self._features is not None
        width = None if self._features is None else self._features.shape[1]
        features_DF, faceless = normalised_features(features, n, width)
        if self._features is None:
            # Tracks that were born without features have zero rows until a detection brings some.
            self._features = np.zeros((len(self._ids), features_DF.shape[1]), np.float32)
            self._faceless = len(self._ids) > 0
        return features_DF, faceless
