"""Other trackers with the same interface, for comparison on the same detections.

| name       | from                                                              | appearance |
|------------|-------------------------------------------------------------------|------------|
| centertrack| own code: Zhou et al. 2020, section 4.2, greedy by offset          | no         |
| sort       | `trackers`: Bewley et al. 2016                                    | no         |
| bytetrack  | `trackers`: Zhang et al. 2022                                     | no         |
| oc-sort    | `trackers`: Cao et al. 2023                                       | no         |
| deepsort   | `deep-sort-realtime`: Wojke et al. 2017                           | ours       |

The packages come with `pip install ssat[baselines]`.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from ssat.detection.detections import Detections
from ssat.errors import InputError
from ssat.tracking.config import TrackerConfig, TrackerName
from ssat.tracking.tracker import InitRule, Tracker, Tracks


class Baseline(Protocol):
    """A tracker that sees one frame after the other."""

    def skip(self, frames: int) -> None:
        """Advance by `frames` frames without detections."""

    def associate(self, found: Detections, features: NDArray[np.float32] | None, init_rule: InitRule | None) -> Tracks:
        """Return the tracks of the next frame; `features` (D, F) and `init_rule` as in `Tracker.update`."""
        ...


def make_tracker(name: TrackerName, config: TrackerConfig, frame_rate: float) -> Tracker | Baseline:
    """Return the tracker called `name`.

    `config` is for `ssat` and `box`; of the others, those that find lost tracks again do so for its `lost_seconds`.

    Raises:
        InputError: a frame rate that is not positive, or the package of that tracker is not installed.
    """
    if name in ("ssat", "box"):
        return Tracker(config, frame_rate)
    if name == "centertrack":
        from ssat.tracking.baselines.centertrack import CenterTrackAssociation

        return CenterTrackAssociation()
    try:
        if name == "deepsort":
            from ssat.tracking.baselines.deepsort import DeepSortTracker

            return DeepSortTracker(config.lost_seconds, frame_rate)
        from ssat.tracking.baselines.boxes import PackagedBoxTracker

        return PackagedBoxTracker(name, config.lost_seconds, frame_rate)
    except ImportError as error:
        raise InputError(
            f"tracker {name}: package {error.name} is not installed; pip install 'ssat[baselines]'"
        ) from error
