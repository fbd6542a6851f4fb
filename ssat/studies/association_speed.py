"""CPU time of association alone, on detections and features that are known."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from ssat.detection.detections import Detections, middles
from ssat.pipeline.benchmark_inputs import Prepared
from ssat.tracking.baselines import Baseline
from ssat.tracking.tracker import Tracker

WARM_UP_FRAMES = 20  # also in boxmot_worker.py, which cannot import it


def association_cpu_seconds(
    prepared: Prepared, make: Callable[[], Tracker | Baseline], features: NDArray[np.float32] | None
) -> float:
    """Return the CPU seconds of one thread in which a tracker associates all frames of a sequence.

    Frames are neither read nor embedded, camera motion is not estimated, results are not written. Libraries of linear
    algebra are held to one thread, so that no work is missed on others. Another tracker sees the first frames before:
    imports at the first call do not count.

    Args:
        prepared: the sequence.
        make: gives a new tracker.
        features: (n, F), a row per detection; None: boxes alone.
    """
    with threadpool_limits(1):
        _associate(prepared, prepared.frames[:WARM_UP_FRAMES], make(), features)
        return _associate(prepared, prepared.frames, make(), features)


def _associate(
    prepared: Prepared, frames: Iterable[int], tracker: Tracker | Baseline, features: NDArray[np.float32] | None
) -> float:
    detections, seconds = prepared.detections, 0.0
    for frame in frames:
        at = detections.at(frame)
        boxes, scores = detections.boxes[at], detections.scores[at]
        centres = middles(boxes) if prepared.centres is None else prepared.centres[at]
        offsets = np.zeros((len(boxes), 2)) if prepared.offsets is None else prepared.offsets[at]
        given = Detections(boxes, scores, centres, offsets)
        appearance = None if features is None else features[at]
        began = time.thread_time()
        if isinstance(tracker, Tracker):
            tracker.update(boxes, appearance, scores)
        else:
            tracker.associate(given, appearance, None)
        seconds += time.thread_time() - began
    return seconds
