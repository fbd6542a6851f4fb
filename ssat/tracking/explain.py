"""Why an identity began and why it ended: the distances and thresholds of those frames, in words and as a picture."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ssat.errors import InputError
from ssat.tracking.config import TrackerConfig
from ssat.tracking.tracker import Association
from ssat.video.sources import Image
from ssat.workspace import committed

_MOST = 5  # candidates that are named


@dataclass(frozen=True)
class Candidate:
    """A track (for a birth) or a detection (for an end) that might have been the same.

    Attributes:
        what: how the text names it.
        box: x1 y1 x2 y2.
        distance, look, place: D, D_cos and D_bbox; the last two None where they were not used.
        threshold: what the distance had to be below.
        verdict: why it did not match.
    """

    what: str
    box: NDArray[np.float64]
    distance: float
    look: float | None
    place: float | None
    threshold: float
    verdict: str


@dataclass(frozen=True)
class Moment:
    """A frame of the identity's life, and what was weighed in it."""

    frame: int
    text: str
    box: NDArray[np.float64]
    candidates: list[Candidate]
    image: Image | None


class Explainer:
    """Watches a tracker and remembers what decided about one identity.

    Set `tracker.observer = explainer`, and call `seen` with every frame's number and image before its update.
    """

    def __init__(self, identity: int, config: TrackerConfig) -> None:
        self.identity = identity
        self.moments: list[Moment] = []
        self._config = config
        self._frame, self._image = 0, None
        self._last_image: Image | None = None
        self._lost_since: int | None = None
        self._nearest: tuple[float, int] | None = None
        self._matched: list[int] = []

    def seen(self, frame: int, image: Image | None) -> None:
        """The frame that is about to be associated."""
        self._frame, self._image = frame, image  # type: ignore[assignment]

    def __call__(self, given: Association) -> None:
        """What decided the frame."""
        mine = (given.ids == self.identity).nonzero()[0]
        if self.identity in given.born:
            self._birth(given)
        elif len(mine):
            row = int(mine[0])
            if self.identity in given.detection_ids:
                self._found(given, row)
            elif given.missed[row] == 0:
                self._lost(given, row)
            else:
                self._still_lost(given, row)
            if self.identity in given.dropped:
                self._dropped(given, row)

    def text(self) -> str:
        """All of it in words. Raises InputError where the identity never came up."""
        if not self.moments:
            raise InputError(f"identity {self.identity} does not occur in this input")
        lines = [f"identity {self.identity}"]
        for moment in self.moments:
            lines.append(f"frame {moment.frame}: {moment.text}")
            for one in moment.candidates:
                parts = [f"D {one.distance:.3f}"]
                if one.look is not None and one.place is not None:
                    parts.append(f"= D_cos {one.look:.3f} + D_bbox {one.place:.3f}")
                elif one.place is not None:
                    parts.append("= D_bbox alone")
                lines.append(f"  {one.what}: {' '.join(parts)}, threshold {one.threshold:g}: {one.verdict}")
        if self._matched:
            lines.append(f"in between: seen in {len(self._matched)} frames, the last one is {self._matched[-1]}")
        if self.moments[-1].text.startswith(("began", "found")):
            lines.append("it was still tracked when the input ended")
        return "\n".join(lines) + "\n"

    def write(self, folder: Path, name: str) -> list[Path]:
        """NAME.explain-ID.txt and, where frames were seen, NAME.explain-ID.png; gives their paths."""
        stem = folder / f"{name}.explain-{self.identity}"
        text = self.text()
        with committed(stem.with_name(f"{stem.name}.txt")) as temporary:
            temporary.write_text(text, encoding="utf-8")
        files = [stem.with_name(f"{stem.name}.txt")]
        pictured = [moment for moment in self.moments if moment.image is not None]
        if pictured:
            from ssat.report.explained import explained_picture

            files.append(explained_picture(self.identity, pictured, stem.with_name(f"{stem.name}.png")))
        return files

    def _birth(self, given: Association) -> None:
        column = int((given.detection_ids == self.identity).nonzero()[0][0])
        self._matched.append(self._frame)
        candidates = []
        for row in given.distance[:, column].argsort(kind="stable")[:_MOST].tolist():
            lost = given.missed[row] > 0
            threshold = self._config.tau2 if lost else self._config.tau1
            identity = int(given.ids[row])
            state = f"lost for {int(given.missed[row])} frames" if lost else "tracked"
            what = f"track {identity} ({state})"
            taken = identity in given.detection_ids
            candidates.append(
                self._candidate(
                    given, row, column, what, given.boxes[row], threshold, "it took another" if taken else ""
                )
            )
        text = "began: no free track was near enough" if candidates else "began: there was no track before it"
        self._remember(text, given.detections[column], candidates)

    def _found(self, given: Association, row: int) -> None:
        column = int((given.detection_ids == self.identity).nonzero()[0][0])
        self._matched.append(self._frame)
        if given.missed[row] > 0:
            one = self._candidate(
                given, row, column, "the detection", given.detections[column], self._config.tau2, "matched"
            )
            text = f"found again after {int(given.missed[row])} frames"
            self._remember(text, given.detections[column], [one])
        self._lost_since = None

    def _lost(self, given: Association, row: int) -> None:
        self._lost_since, self._nearest = self._frame, None
        candidates = []
        for column in given.distance[row].argsort(kind="stable")[:_MOST].tolist():
            identity = int(given.detection_ids[column])
            what = f"detection of identity {identity}" if identity else "detection without identity"
            verdict = f"identity {identity} was nearer" if identity else ""
            box = given.detections[column]
            candidates.append(self._candidate(given, row, column, what, box, self._config.tau1, verdict))
        text = "lost: no free detection was near enough" if candidates else "lost: the frame has no detections"
        self._remember(text, given.boxes[row], candidates)

    def _still_lost(self, given: Association, row: int) -> None:
        if given.distance.shape[1]:
            nearest = float(given.distance[row].min())
            if self._nearest is None or nearest < self._nearest[0]:
                self._nearest = (nearest, self._frame)

    def _dropped(self, given: Association, row: int) -> None:
        near = "no detection came"
        if self._nearest is not None:
            near = f"the nearest detection came in frame {self._nearest[1]}, D {self._nearest[0]:.3f}, threshold "
            near += f"{self._config.tau2:g}" + (", and went to another" if self._nearest[0] < self._config.tau2 else "")
        text = f"ended: lost since frame {self._lost_since}, longer than {self._config.lost_seconds:g} s; {near}"
        self._remember(text, given.boxes[row], [])

    def _candidate(
        self,
        given: Association,
        row: int,
        column: int,
        what: str,
        box: NDArray[np.float64],
        threshold: float,
        verdict: str,
    ) -> Candidate:
        distance = float(given.distance[row, column])
        if not distance < threshold:
            verdict = "too far"
        elif not verdict:
            verdict = "near enough, but another pair was nearer"
        look = None if given.by_look is None else float(given.by_look[row, column])
        place = None if given.by_box is None else float(given.by_box[row, column])
        return Candidate(what, box.copy(), distance, look, place, threshold, verdict)

    def _remember(self, text: str, box: NDArray[np.float64], candidates: list[Candidate]) -> None:
        image = None if self._image is None else self._image.copy()
        self.moments.append(Moment(self._frame, text, box.copy(), candidates, image))
