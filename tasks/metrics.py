"""Counters for Prometheus on the metrics endpoints of the Ray nodes.

Ray puts `ray_` before each name and `_total` behind it. Where a process is not connected to Ray nothing is counted.
"""

from __future__ import annotations

import contextlib
import logging
import os
import sys
from collections.abc import Iterator
from typing import Any

from ssat.errors import ServiceError
from tasks.services import ray_session

_LOG = logging.getLogger(__name__)

ATTEMPTED_CLIPS = "ssat_attempted_clips"
COLLECTED_CLIPS = "ssat_collected_clips"
DECODED_FRAMES = "ssat_decoded_frames"
TRAINED_IMAGES = "ssat_trained_images"
FAILURES = "ssat_failures"

# Name → what it counts, and its tags.
COUNTERS: dict[str, tuple[str, tuple[str, ...]]] = {
    ATTEMPTED_CLIPS: ("Attempted candidates, with any outcome", ()),
    COLLECTED_CLIPS: ("Clips that were downloaded, trimmed and checked", ()),
    DECODED_FRAMES: ("Frames that were decoded and encoded for the frame store", ()),
    TRAINED_IMAGES: ("Images that went through a training step, over all workers", ()),
    FAILURES: ("Failed clips, by stage and class of error", ("stage", "kind")),
}

_made: dict[tuple[str, str], Any] = {}


def count(name: str, number: float = 1, **tags: str) -> None:
    """Add `number` to the counter `name` of COUNTERS; nothing is sent where Ray is not connected."""
    description, tag_keys = COUNTERS[name]
    if number <= 0 or "ray" not in sys.modules:
        return
    import ray

    if not ray.is_initialized():
        return
    # A counter belongs to the connection that it was made in.
    key = (name, ray.get_runtime_context().get_job_id())
    if key not in _made:
        from ray.util.metrics import Counter

        _made[key] = Counter(name, description, tag_keys=tag_keys)
    _made[key].inc(number, tags or None)


@contextlib.contextmanager
def counted() -> Iterator[None]:
    """Connect to the cluster that RAY_ADDRESS names, for work that uses Ray for its counters alone.

    Without that variable, or where the cluster does not answer, the work continues uncounted.
    """
    with contextlib.ExitStack() as stack:
        if os.environ.get("RAY_ADDRESS") not in (None, "", "local"):
            try:
                stack.enter_context(ray_session())
            except ServiceError as error:
                _LOG.warning("no counters for the monitoring: %s", error)
        yield
