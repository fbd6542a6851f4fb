"""A benchmark's numbers in one line: what they belong to."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def headline(result: Mapping[str, Any]) -> str:
    """Return tracker, detections, embedder, departures from the paper, split and protocol of a benchmark."""
    chosen = f", score ≥ {result['min_score']:g}" if result["min_score"] is not None else ""
    appearance = ""
    if result["embedder_digest"] is not None:
        appearance = f", embedder {result['embedder'] or 'of the latest training'} ({result['embedder_digest'][:8]})"
    source = f"{result['detections']} detections{chosen}"
    if result["detector"] is not None:
        source = f"detections of {result['detector']} ({result['detector_sha256'][:8]})"
        if result["refine"] != "none":
            source += f", refined {result['refine']}"
    # Results of earlier versions do not know them, and other trackers have constants of their own.
    departures = result.get("departures", []) if result["tracker"] in ("ssat", "box") else []
    changed = "".join(f", {one}" for one in departures)
    beyond = f", beyond the paper: {', '.join(result['extensions'])}" if result["extensions"] else ""
    scored = f"protocol {result['protocol']}" if result["split"] != "test" else "which the server scores"
    how = f"{result['tracker']} on {source}{appearance}{changed}{beyond}"
    return f"{how}, split {result['split']}, {scored}"
