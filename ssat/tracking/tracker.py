"""The online tracker: costs, passes of association, new tracks."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ssat.detection.other_libraries import AnyDetections, boxes_and_scores, with_identities
from ssat.errors import InputError
from ssat.tracking.checks import as_array, checked_boxes, checked_camera, checked_scores, normalised_features
from ssat.tracking.config import TrackerConfig
from ssat.tracking.costs import Costs
from ssat.tracking.long_memory import Recall
from ssat.tracking.method import Method, method_of
from ssat.tracking.passes import Matches, Pass
from ssat.tracking.state import FrameDetections, TrackState

_FIRST_ID = 1
_NO_IDS = np.empty(0, np.int64)

# Which of the unmatched detections may start a track: their rows → an equally long mask, True if it may.
InitRule = Callable[[NDArray[np.intp]], NDArray[np.bool_]]


@dataclass(frozen=True)
class Tracks:
    """The tracks of one frame, a row per tracked detection, in the order of the detections.

    Attributes:
        ids: identities (n,), counted from 1, never used again.
        boxes: (n, 4) x1 y1 x2 y2 in pixels.
        detection_index: (n,) row of each in the frame's detections.
        scores: (n,) scores of those detections, or None if none were given.
        unconfirmed: new tracks that are not shown yet (`config.confirm_hits`); None if all are shown at once.
        regained: pairs of the identity that a track had so far and the one that it has from this frame on, because it
            shows a person who was here before (`config.remember_seconds`).
        given: the frame's detections, where they came in the type of another library; None: as arrays.
    """

    ids: NDArray[np.int64]
    boxes: NDArray[np.float64]
    detection_index: NDArray[np.intp]
    scores: NDArray[np.float64] | None = None
    unconfirmed: Tracks | None = None
    regained: tuple[tuple[int, int], ...] = ()
    given: Any = None

    def __len__(self) -> int:
        return len(self.ids)

    def labelled(self) -> Any:
        """Return the tracked detections in the type in which they were given, with their identities.

        `supervision.Detections` have them in `tracker_id`, the `Results` of ultralytics in `boxes.id`, the dict of
        torchvision under the key `ids`. The rows are those of the tracks; the detections that were given do not change.

        Raises:
            InputError: they were given as arrays.
        """
        if self.given is None:
            raise InputError(
                "labelled: the detections were given as arrays; expected those of supervision, ultralytics or "
                "torchvision. Use ids and detection_index"
            )
        return with_identities(self.given, self.detection_index, self.ids)


@dataclass(frozen=True)
class PassRecord:
    """One pass of one frame.

    Attributes:
        definition: the pass itself.
        tracks, detections: rows of the unmatched tracks and detections that took part.
        cost: (T, D) what was compared with the threshold, of all tracks and detections.
        matched: rows of the tracks and of the detections that matched.
    """

    definition: Pass
    tracks: NDArray[np.intp]
    detections: NDArray[np.intp]
    cost: NDArray[np.float64]
    matched: tuple[NDArray[np.intp], NDArray[np.intp]]


@dataclass(frozen=True)
class Association:
    """Everything that decided one frame, for `Tracker.observer`.

    Attributes:
        before: the tracks before the association, moved to where they were expected.
        detections: the detections of the frame.
        terms: name of the cost term → (T, D), or None if it could not be computed.
        passes: in their order.
        detection_ids: (D,) the identity of each detection; 0: none.
        new, ended: identities that started and ended with this frame.
        appearance_scale: factor of the appearance cost, by the calibration.
        regained: as in `Tracks`.
        recalls: new tracks that were compared with the people who left.
    """

    before: TrackState
    detections: FrameDetections
    terms: Mapping[str, NDArray[np.float64] | None]
    passes: tuple[PassRecord, ...]
    detection_ids: NDArray[np.int64]
    new: NDArray[np.int64]
    ended: NDArray[np.int64]
    appearance_scale: float = 1.0
    regained: tuple[tuple[int, int], ...] = ()
    recalls: tuple[Recall, ...] = ()


class Tracker:
    """Online tracker: assigns identities to the detections of each frame by appearance and position.

    The state is a set of arrays with a row per track that is alive. It grows with the number of tracks alive at a time,
    not with the number of frames. `ssat.tracking.saving` saves and restores it.

    Args:
        config: constants and switches; the paper's by default.
        frame_rate: frames per second; a track is lost for at most `config.lost_seconds` of them.

    Attributes:
        method: cost terms, passes, motion and appearance memory of `config`. More terms and passes may be added.
        state: the tracks that are alive.
        observer: called with the `Association` of every frame; None: no observer.
    """

    def __init__(self, config: TrackerConfig | None = None, frame_rate: float = 30.0) -> None:
        if not (math.isfinite(frame_rate) and frame_rate > 0):
            raise InputError(f"frame rate {frame_rate}: expected a positive number of frames per second")
        self.config = config or TrackerConfig()
        self.frame_rate = frame_rate
        self.method: Method = method_of(self.config, frame_rate)
        self.state = TrackState()
        self.next_id = _FIRST_ID
        self.observer: Callable[[Association], None] | None = None
        # Tolerance for floating-point error: 0.29 s at 100 fps are 29 frames, though the product is 28.999999999999996.
        self._life = math.floor(self.config.lost_seconds * frame_rate + 1e-6)

    @property
    def n_alive(self) -> int:
        """Number of tracks that are tracked or lost."""
        return len(self.state)

    @property
    def lost(self) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """Identities (L,) and boxes (L, 4) of the tracks that the last frame did not show."""
        lost_T = self.state.time_since_update > 0
        return self.state.ids[lost_T], self.state.boxes[lost_T]

    def skip(self, frames: int) -> None:
        """Count frames that were never read (a dropped stream, for example): all tracks are lost for as long."""
        if frames > 0:
            if self.method.long_memory is not None:
                self.method.long_memory.pass_time(frames)
            self.state.pass_time(frames)
            self._end_tracks()

    def update(
        self,
        boxes: AnyDetections,
        features: ArrayLike | None = None,
        scores: ArrayLike | None = None,
        *,
        init_rule: InitRule | None = None,
        camera: ArrayLike | None = None,
        births: InitRule | None = None,
    ) -> Tracks:
        """Associate the detections of the next frame with the tracks.

        Arrays, lists and torch tensors are accepted.

        Args:
            boxes: (D, 4) x1 y1 x2 y2 in source pixels. Or the detections of one frame as supervision, ultralytics or
                torchvision give them, boxes and scores; all of them are tracked, so choose classes before.
                `Tracks.labelled` gives them back with identities.
            features: (D, F) appearance, of any length (they are L2-normalised here). A zero row is a missing appearance
                (an empty patch): the box cost alone decides. None means that for every detection: the box tracker.
            scores: (D,) detector scores; passed through, and used only if `config.low_score` is set.
            init_rule: selects the unmatched detections that may start a track, by their rows; the others are not in
                the answer. By default each of them starts one.
            camera: (2, 3) affine map from points of the frame before to points of this one; used only where
                `config.camera_motion` is set.
            births: the former name of `init_rule`.

        Raises:
            InputError: values that are not finite, boxes of negative size, shapes that do not fit, features of
                another width than before, or neither features nor box term.
        """
        given = None if type(boxes) is np.ndarray else boxes_and_scores(boxes)
        if given is None:
            detections = self._checked(boxes, features, scores)  # type: ignore[arg-type]
        else:
            detections = self._checked(given[0], features, given[1] if scores is None else scores)
        self.method.motion.predict(self.state, self._checked_camera(camera))
        if self.method.calibration is not None:
            self.method.calibration.add(detections)
        costs = Costs(self.method.terms, self.state, detections)
        before, terms = (self.state, {}) if self.observer is None else (self.state.copy(), costs.by_term)
        records: list[PassRecord] = []

        matches = Matches(len(self.state), len(detections))
        for definition in self.method.passes:
            candidates = matches.candidates(definition, self.state, detections)
            pairs = definition.match(costs, *candidates)
            matches.add(definition, *pairs)
            if self.observer is not None:
                records.append(PassRecord(definition, *candidates, costs.total(definition.terms), pairs))

        detection_ids = self._update_tracks(matches, detections)
        if self.method.long_memory is not None:
            self.method.long_memory.pass_time(1)
        ended = self._end_tracks()
        regained = self._regain(detection_ids)
        new = self._start_tracks(matches, detections, init_rule or births, detection_ids)
        if self.observer is not None:
            scale = 1.0 if self.method.calibration is None else self.method.calibration.scale
            recalls = () if self.method.long_memory is None else tuple(self.method.long_memory.recalls)
            decided = Association(
                before, detections, terms, tuple(records), detection_ids, new, ended, scale, regained, recalls
            )
            self.observer(decided)
        shown = self._shown(detections, detection_ids)
        if given is not None:
            shown = replace(shown, given=boxes)
        return replace(shown, regained=regained) if regained else shown

    def _update_tracks(self, matches: Matches, detections: FrameDetections) -> NDArray[np.int64]:
        """Give the matched tracks their detections. Returns (D,) the identities so far; 0: none."""
        state = self.state
        state.pass_time(1)
        detection_ids = np.zeros(len(detections), np.int64)
        tracks, matched = matches.pairs
        if len(tracks):
            boxes = detections.boxes.take(matched, axis=0)
            state.boxes[tracks] = boxes
            state.time_since_update[tracks] = 0
            if state.hits is not None:
                state.hits[tracks] += 1
            self.method.motion.update(state, tracks, boxes)
            detection_ids[matched] = state.ids.take(tracks)
        tracks, matched = matches.confident_pairs
        if detections.features is not None and len(tracks):
            self.method.appearance.update(state, tracks, detections.features.take(matched, axis=0))
        return detection_ids

    def _end_tracks(self) -> NDArray[np.int64]:
        """Forget the tracks that were lost for too long, or before they were confirmed. Returns their identities."""
        alive_T = self.state.time_since_update <= self._life
        if self.state.hits is not None:
            alive_T &= (self.state.hits >= self.config.confirm_hits) | (self.state.time_since_update == 0)
        if np.logical_and.reduce(alive_T):
            return _NO_IDS
        ended = self.state.ids[~alive_T]
        if self.method.long_memory is not None:
            self.method.long_memory.remember(self.state, (~alive_T).nonzero()[0])
        self.state.keep(alive_T)
        return ended

    def _regain(self, detection_ids: NDArray[np.int64]) -> tuple[tuple[int, int], ...]:
        """Give tracks of people who were here before their identity back, in the state and in `detection_ids`.

        Returns:
            Pairs of the identity so far and the former one.
        """
        if self.method.long_memory is None:
            return ()
        regained = self.method.long_memory.regain(self.state)
        for so_far, former in regained:
            self.state.ids[self.state.ids == so_far] = former
            detection_ids[detection_ids == so_far] = former
        if regained:
            self.state.reorder(self.state.ids.argsort())
        return regained

    def _start_tracks(
        self,
        matches: Matches,
        detections: FrameDetections,
        init_rule: InitRule | None,
        detection_ids: NDArray[np.int64],
    ) -> NDArray[np.int64]:
        """Start tracks from unmatched detections and enter them in `detection_ids`. Returns their identities."""
        may_start_D = self.method.may_start(detections)
        unmatched_D = matches.unmatched_detections
        rows = (unmatched_D if may_start_D is None else unmatched_D & may_start_D).nonzero()[0]
        if init_rule is not None and len(rows):
            rows = rows[init_rule(rows)]
        if not len(rows):
            return _NO_IDS
        ids = np.arange(self.next_id, self.next_id + len(rows))
        self.next_id += len(rows)
        detection_ids[rows] = ids
        boxes = detections.boxes[rows]
        new = TrackState(ids, boxes, np.zeros(len(rows), np.int64))
        if self.method.counts_hits:
            new.hits = np.ones(len(rows), np.int64)
        if self.method.long_memory is not None:
            new.age = np.zeros(len(rows), np.int64)
        new.set(self.method.motion.start(boxes))
        if detections.features is not None:
            new.set(self.method.appearance.start(detections.features[rows]))
            new.missing_appearance = detections.missing_appearance
        self.state.append(new)
        return ids

    def _checked(self, boxes: ArrayLike, features: ArrayLike | None, scores: ArrayLike | None) -> FrameDetections:
        boxes_D4 = checked_boxes(boxes)
        n = len(boxes_D4)
        scores_D = None if scores is None else checked_scores(scores, n)
        weak_D = None
        if self.config.low_score is not None and scores_D is not None:
            weak_D = scores_D < self.config.low_score
        if features is None:
            if n and not self.config.box_term:
                raise InputError("no features and no box term: nothing to associate by; give features or set box_term")
            return FrameDetections(boxes_D4, None, False, scores_D, weak_D)
        if not n and not as_array(features, "features").size:
            return FrameDetections(boxes_D4, None, False, scores_D, weak_D)
        width = None if self.state.features is None else self.state.features.shape[1]
        features_DF, missing_appearance = normalised_features(features, n, width)
        return FrameDetections(boxes_D4, features_DF, missing_appearance, scores_D, weak_D)

    def _checked_camera(self, camera: ArrayLike | None) -> NDArray[np.float64] | None:
        return None if camera is None or not self.config.camera_motion else checked_camera(camera)

    def _shown(self, detections: FrameDetections, detection_ids: NDArray[np.int64]) -> Tracks:
        hits_T = self.state.hits
        if self.config.confirm_hits == 1 or hits_T is None or not len(hits_T):
            return _tracks_of(detections, detection_ids)
        # The ids of the state ascend, and those of the detections are among them; 0 is none.
        hits_D = hits_T.take(self.state.ids.searchsorted(detection_ids))
        hidden_D = hits_D < self.config.confirm_hits
        if not np.logical_or.reduce(hidden_D):
            return _tracks_of(
                detections, detection_ids, unconfirmed=_tracks_of(detections, np.zeros_like(detection_ids))
            )
        hidden = _tracks_of(detections, np.where(hidden_D, detection_ids, 0))
        return _tracks_of(detections, np.where(hidden_D, 0, detection_ids), unconfirmed=hidden)


def _tracks_of(
    detections: FrameDetections, detection_ids: NDArray[np.int64], unconfirmed: Tracks | None = None
) -> Tracks:
    if np.logical_and.reduce(detection_ids):
        return Tracks(detection_ids, detections.boxes, np.arange(len(detections)), detections.scores, unconfirmed)
    rows = detection_ids.nonzero()[0]
    scores = None if detections.scores is None else detections.scores[rows]
    return Tracks(detection_ids[rows], detections.boxes[rows], rows, scores, unconfirmed)
