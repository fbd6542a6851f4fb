"""Explain why an identity started and ended: costs and thresholds of the decisive frames."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ssat.errors import InputError
from ssat.tracking.config import TrackerConfig
from ssat.tracking.tracker import Association, PassRecord

_MAX_CANDIDATES = 5


@dataclass(frozen=True)
class Comparison:
    """A pair of track and detection in one pass.

    Attributes:
        name: of the pass.
        cost: compared with `threshold`: the sum of `terms`.
        terms: name → value, of the terms that could be computed.
        verdict: why the pair matched or did not.
    """

    name: str
    cost: float
    terms: dict[str, float]
    threshold: float
    verdict: str

    def __str__(self) -> str:
        parts = " + ".join(f"{name} {value:.3f}" for name, value in self.terms.items())
        if len(self.terms) == 1:
            parts = f"{next(iter(self.terms))} alone"
        total = f"cost {self.cost:.3f}" + (f" = {parts}" if parts else "")
        return f"pass {self.name}: {total}, threshold {self.threshold:g}: {self.verdict}"


@dataclass(frozen=True)
class ComparedItem:
    """A track (at the start of an identity) or a detection (at its end) that might have been the same person.

    Attributes:
        name: how the text names it.
        box: x1 y1 x2 y2 in pixels.
        comparisons: one for each pass that takes such a pair.
    """

    name: str
    box: NDArray[np.float64]
    comparisons: tuple[Comparison, ...]

    @property
    def cost(self) -> float:
        """The smallest cost of any pass."""
        return min((comparison.cost for comparison in self.comparisons), default=float("inf"))


@dataclass(frozen=True)
class Moment:
    """A decisive frame of the identity, and the candidates in it.

    Attributes:
        box: of the identity, x1 y1 x2 y2 in pixels.
        image: (H, W, 3) RGB, or None if there are no frames.
    """

    frame: int
    text: str
    box: NDArray[np.float64]
    candidates: list[ComparedItem]
    image: NDArray[np.uint8] | None


class Explainer:
    """Observer of a tracker that records the decisions about one identity.

    Set `tracker.observer = explainer`, and call `seen` with the number and image of every frame before its update.
    """

    def __init__(self, identity: int, config: TrackerConfig) -> None:
        self.identity = identity
        self.moments: list[Moment] = []
        self._config = config
        self._frame = 0
        self._scale = 1.0
        self._image: NDArray[np.uint8] | None = None
        self._lost_since: int | None = None
        self._nearest: tuple[int, Comparison] | None = None
        self._matched: list[int] = []

    def seen(self, frame: int, image: NDArray[np.uint8] | None) -> None:
        """Take the frame that is about to be associated."""
        self._frame, self._image = frame, image

    def __call__(self, given: Association) -> None:
        """Take what decided the frame."""
        self._scale = given.appearance_scale
        for so_far, former in given.regained:
            if self.identity in (so_far, former):
                self._regained(given, so_far, former)
            if self.identity == so_far:
                return  # its track continues under the former identity
        for recall in given.recalls:
            if not recall.regained and self.identity == recall.identity:
                column = int((given.detection_ids == self.identity).nonzero()[0][0])
                self._remember(f"compared with the people who left: {recall}", given.detections.boxes[column], [])
        mine = (given.before.ids == self.identity).nonzero()[0]
        if self.identity in given.new:
            self._started(given)
        elif len(mine):
            row = int(mine[0])
            if self.identity in given.detection_ids:
                self._found(given, row)
            elif given.before.time_since_update[row] == 0:
                self._lost(given, row)
            else:
                self._still_lost(given, row)
            if self.identity in given.ended:
                self._ended(given, row)

    def text(self) -> str:
        """Return the explanation in words.

        Raises:
            InputError: the identity never occurred.
        """
        if not self.moments:
            raise InputError(f"identity {self.identity} does not occur in this input")
        lines = [f"identity {self.identity}"]
        for moment in self.moments:
            lines.append(f"frame {moment.frame}: {moment.text}")
            for candidate in moment.candidates:
                lines.extend(f"  {candidate.name}, {comparison}" for comparison in candidate.comparisons)
        if self._matched:
            seen = _frames(len(self._matched))
            lines.append(f"in between: seen in {seen}, the last one is {self._matched[-1]}")
        if self.moments[-1].text.startswith(("began", "found", "compared")):
            lines.append("it was still tracked when the input ended")
        return "\n".join(lines) + "\n"

    def _started(self, given: Association) -> None:
        column = int((given.detection_ids == self.identity).nonzero()[0][0])
        self._matched.append(self._frame)
        before = given.before
        candidates = []
        for row in range(len(before)):
            lost_frames = int(before.time_since_update[row])
            status = f"lost for {_frames(lost_frames)}" if lost_frames else "tracked"
            elsewhere = "it took another" if before.ids[row] in given.detection_ids else ""
            name = f"track {int(before.ids[row])} ({status})"
            candidates.append(ComparedItem(name, before.boxes[row].copy(), _compared(given, row, column, elsewhere)))
        text = "began: no free track was near enough" if candidates else "began: there was no track before it"
        self._remember(text, given.detections.boxes[column], candidates)

    def _regained(self, given: Association, so_far: int, former: int) -> None:
        column = int((given.detection_ids == former).nonzero()[0][0])
        self._lost_since = None
        start = "found again" if self.identity == former else "continues under its former identity, found again"
        text = f"{start} by appearance after an absence: identity {so_far} until now, {former} from now on"
        text += "".join(f"; {recall}" for recall in given.recalls if recall.regained and recall.identity == so_far)
        self._remember(text, given.detections.boxes[column], [])

    def _found(self, given: Association, row: int) -> None:
        column = int((given.detection_ids == self.identity).nonzero()[0][0])
        self._matched.append(self._frame)
        lost_frames = int(given.before.time_since_update[row])
        if lost_frames > 0:
            box = given.detections.boxes[column]
            candidate = ComparedItem("the detection", box.copy(), _compared(given, row, column, ""))
            self._remember(f"found again after {_frames(lost_frames)}", box, [candidate])
        self._lost_since = None

    def _lost(self, given: Association, row: int) -> None:
        self._lost_since, self._nearest = self._frame, None
        candidates = []
        for column, box in enumerate(given.detections.boxes):
            identity = int(given.detection_ids[column])
            name = f"detection of identity {identity}" if identity else "detection without identity"
            elsewhere = f"identity {identity} was nearer" if identity else ""
            candidates.append(ComparedItem(name, box.copy(), _compared(given, row, column, elsewhere)))
        text = "lost: no free detection was near enough" if candidates else "lost: the frame has no detections"
        self._remember(text, given.before.boxes[row], candidates)

    def _still_lost(self, given: Association, row: int) -> None:
        for column in range(len(given.detections)):
            identity = int(given.detection_ids[column])
            for comparison in _compared(given, row, column, "and went to another" if identity else ""):
                if self._nearest is None or comparison.cost < self._nearest[1].cost:
                    self._nearest = (self._frame, comparison)

    def _ended(self, given: Association, row: int) -> None:
        near = "no detection came"
        if self._nearest is not None:
            frame, comparison = self._nearest
            near = f"the nearest detection came in frame {frame}, {comparison}"
        hits, needed = None if given.before.hits is None else int(given.before.hits[row]), self._config.confirm_hits
        if hits is not None and hits < needed:
            text = f"ended: missed before it was confirmed, after {hits} of {needed} frames; it is not in the result"
        else:
            text = f"ended: lost since frame {self._lost_since}, longer than {self._config.lost_seconds:g} s; {near}"
        self._remember(text, given.before.boxes[row], [])

    def _remember(self, text: str, box: NDArray[np.float64], candidates: list[ComparedItem]) -> None:
        if self._scale != 1.0 and any(
            "appearance" in comparison.terms for candidate in candidates for comparison in candidate.comparisons
        ):
            text += f" (appearance calibrated: 1 - cosine times {self._scale:.2f})"
        compared = sorted(
            (candidate for candidate in candidates if candidate.comparisons), key=lambda candidate: candidate.cost
        )
        image = None if self._image is None else self._image.copy()
        self.moments.append(Moment(self._frame, text, box.copy(), compared[:_MAX_CANDIDATES], image))


def _compared(given: Association, row: int, column: int, elsewhere: str) -> tuple[Comparison, ...]:
    """Return a pair's comparisons in the passes that take such a pair, whether or not it was still free then."""
    answer = []
    for record in given.passes:
        wanted_D = record.definition.detections(given.detections)
        if not record.definition.tracks(given.before)[row] or not (wanted_D is None or wanted_D[column]):
            continue
        cost = float(record.cost[row, column])
        values = {name: given.terms[name] for name in record.definition.terms}
        terms = {name: float(value[row, column]) for name, value in values.items() if value is not None}
        forbidding = [name for name, value in terms.items() if value == np.inf]
        verdict = f"forbidden by {forbidding[0]}" if forbidding else _verdict(record, row, column, cost, elsewhere)
        answer.append(Comparison(record.definition.name, cost, terms, record.definition.threshold, verdict))
    return tuple(answer)


def _frames(number: int) -> str:
    return f"{number} frame" if number == 1 else f"{number} frames"


def _verdict(record: PassRecord, row: int, column: int, cost: float, elsewhere: str) -> str:
    if not cost < record.definition.threshold:
        return "too far"
    if (row, column) in zip(record.matched[0].tolist(), record.matched[1].tolist(), strict=True):
        return "matched"
    return elsewhere or "near enough, but another pair was nearer"
