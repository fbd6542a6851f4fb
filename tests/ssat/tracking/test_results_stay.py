"""Identities on generated input, for every option of the paper's method: a change of the core must not change them."""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np
import pytest

from ssat.tracking import Tracker, TrackerConfig

_EXPECTED: dict[str, tuple[dict[str, Any], str]] = {
    "box tracker": ({}, "6288eab42578fbd4"),
    "paper": ({}, "c04e0446085dfceb"),
    "quick": ({"alpha": 1.0}, "69526af8b23027ef"),
    "kalman": ({"motion": "kalman"}, "52d53699d1bb69d4"),
    "camera motion": ({"camera_motion": True}, "c04e0446085dfceb"),
    "kalman and camera motion": ({"motion": "kalman", "camera_motion": True}, "6c4ae4e101726407"),
    "low score": ({"low_score": 0.4}, "ad43ef3016af7b3d"),
    "hungarian": ({"assignment": "hungarian"}, "c04e0446085dfceb"),
    "no box term": ({"box_term": False}, "52be18dcfb063c02"),
    "no accumulation": ({"accumulate": False}, "d6dc13f201750dc9"),
    "all extensions": (
        {"motion": "kalman", "camera_motion": True, "low_score": 0.4, "assignment": "hungarian"},
        "90f76cf943c867ff",
    ),
}


def _identities(config: TrackerConfig, *, boxes_only: bool) -> str:
    """Digest of the identities and rows of 150 frames with missed, weak and featureless detections."""
    rng = np.random.default_rng(11)
    appearance, position = rng.normal(size=(9, 32)) + 0.8 * rng.normal(size=32), rng.uniform(0, 500, (9, 2))
    velocity = rng.normal(0, 4, (9, 2))
    # Lost tracks live for 12 frames, as when the digests were taken, at a rate that motion is not adapted to.
    tracker, rows = Tracker(config.model_copy(update={"lost_seconds": 12 / 25}), frame_rate=25), []
    for frame in range(150):
        position += velocity
        velocity[(position < 0) | (position > 500)] *= -1
        visible = rng.random(9) > 0.3
        corner = position[visible] + rng.normal(0, 3, (visible.sum(), 2))
        boxes = np.hstack((corner, corner + np.array([40, 90])))
        features = appearance[visible] + 0.7 * rng.normal(size=(visible.sum(), 32))
        if config.box_term:
            features[rng.random(len(features)) < 0.05] = 0.0
        scores = rng.random(len(boxes))
        camera = np.array([[1.0, 0.0, rng.normal()], [0.0, 1.0, rng.normal()]])
        unknown = boxes_only or (config.box_term and frame % 17 == 5)
        tracks = tracker.update(boxes, None if unknown else features, scores, camera=camera)
        if frame % 40 == 20:
            tracker.skip(2)
        rows.append(np.stack((tracks.ids, tracks.detection_index)))
    return hashlib.sha256(np.concatenate(rows, axis=1).tobytes()).hexdigest()[:16]


@pytest.mark.parametrize("name", _EXPECTED)
def test_identities_are_those_of_the_first_implementation(name: str) -> None:
    options, expected = _EXPECTED[name]
    assert _identities(TrackerConfig(**options), boxes_only=name == "box tracker") == expected
