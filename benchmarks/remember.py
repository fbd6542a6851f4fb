"""How many of the people who come back after 5 to 120 seconds get their identity back, and how often it is a false one.

    python benchmarks/remember.py [--seeds choose] [--embedder colour] [--cache FOLDER]

Rendered scenes: twelve figures dressed from ten colours cross the picture three times each, 5 to 120 seconds apart.
Boxes are cut at the border, are shaken by two hundredths of their height, and leave out figures that are mostly hidden.
Tracked with the preset `strong`, without memory, with it, and with `ssat link` afterwards. The scenes of `report` took
part in no choice of a setting; those of `choose` did.

A return is regained where most boxes of the visit have an identity that most boxes of an earlier visit of the figure
have. A join (a former identity given back, or two tracks linked) is false where most boxes of the two were of
different figures.
"""

from __future__ import annotations

import argparse
import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from support.report import report

from ssat.demo.sequences import FPS
from ssat.demo.visits import detect_visitors, render_visits
from ssat.embedding.named import load_embedder
from ssat.embedding.patches import crop_patches
from ssat.embedding.protocol import PatchEmbedder
from ssat.errors import InputError
from ssat.tracking import Tracker, TrackerConfig
from ssat.tracking.relink import relink

_SEEDS = {"choose": range(1, 29), "report": range(201, 221)}
_FIGURES, _VISITS, _ABSENCE_SECONDS = 12, 3, (5.0, 120.0)
_REMEMBER_SECONDS = 300.0
_LINKED_BOXES = 32  # of a track, as `ssat link` takes


@dataclass(frozen=True)
class Scene:
    """Rows are detections in the order of their frames: (n,) frame, figure and visit, (n, 4) boxes, (n, F) features."""

    frames: NDArray[np.int64]
    figures: NDArray[np.int64]
    visits: NDArray[np.int64]
    boxes: NDArray[np.float64]
    features: NDArray[np.float32]

    @classmethod
    def rendered(cls, seed: int, embedder: PatchEmbedder) -> Scene:
        rng = np.random.default_rng([seed, 11])
        rows = []
        for frame in render_visits(seed, _FIGURES, _VISITS, _ABSENCE_SECONDS):
            boxes, at = detect_visitors(frame, rng)
            patches, _ = crop_patches(frame.image, boxes, embedder.input_size)
            features = embedder(patches) if len(boxes) else np.empty((0, 0), np.float32)
            rows += [
                (frame.number, frame.figures[row], frame.visits[row], box, feature)
                for row, box, feature in zip(at, boxes, features, strict=True)
            ]
        return cls(*(np.array(column) for column in zip(*rows, strict=True)))

    @classmethod
    def kept(cls, seed: int, embedder: PatchEmbedder, cache: Path | None) -> Scene:
        """The rendered scene, from the cache where it is there."""
        if cache is None:
            return cls.rendered(seed, embedder)
        path = cache / f"visits-{seed}-{embedder.digest[:16]}.npz"
        if not path.exists():
            cache.mkdir(parents=True, exist_ok=True)
            np.savez(path, **vars(cls.rendered(seed, embedder)))
        with np.load(path) as arrays:
            return cls(**arrays)


@dataclass(frozen=True)
class Identities:
    """What a scene was given: (n,) identity of every row, 0 for none, and whether each join was right."""

    ids: NDArray[np.int64]
    joins: tuple[bool, ...] = ()


def tracked(scene: Scene, remember_seconds: float) -> Identities:
    """Track the rows of a scene online. With a memory rows have the former identity from the return on."""
    tracker = Tracker(TrackerConfig.strong(remember_seconds=remember_seconds), FPS)
    ids, joins = np.zeros(len(scene.frames), np.int64), []
    for number in range(1, int(scene.frames[-1]) + 1):
        rows = np.flatnonzero(scene.frames == number)
        tracks = tracker.update(scene.boxes[rows], scene.features[rows] if len(rows) else None)
        for so_far, former in tracks.regained:
            joins.append(_most(scene.figures[ids == so_far]) == _most(scene.figures[ids == former]))
            ids[ids == so_far] = former
        for shown in (tracks, tracks.unconfirmed):
            if shown is not None:
                ids[rows[shown.detection_index]] = shown.ids
    return Identities(ids, tuple(joins))


def linked(scene: Scene, before: NDArray[np.int64]) -> Identities:
    """Join the tracks of a result as `ssat link` does."""
    features = np.zeros_like(scene.features)
    for identity in np.unique(before[before > 0]):
        rows = np.flatnonzero(before == identity)
        spread = rows[np.unique(np.linspace(0, len(rows) - 1, min(_LINKED_BOXES, len(rows))).round().astype(int))]
        features[spread] = scene.features[spread]
    rows = before > 0
    try:
        joined = relink(scene.frames[rows], before[rows], scene.boxes[rows], features[rows], FPS)
    except InputError:  # too few people share a frame: nothing is joined
        return Identities(before)
    ids = before.copy()
    ids[rows] = joined.ids
    right = [
        _most(scene.figures[before == join.earlier]) == _most(scene.figures[before == join.later])
        for join in joined.joins
    ]
    return Identities(ids, tuple(right))


def regained(scene: Scene, ids: NDArray[np.int64]) -> tuple[int, int]:
    """How many returns got an identity of an earlier visit, and how many there are."""
    visits = {(int(f), int(v)) for f, v in zip(scene.figures, scene.visits, strict=True)}
    identity_of = {
        (figure, visit): _most(ids[(scene.figures == figure) & (scene.visits == visit)]) for figure, visit in visits
    }
    again = back = 0
    for (figure, visit), identity in identity_of.items():
        earlier = {identity_of[other] for other in visits if other[0] == figure and other[1] < visit}
        again += bool(earlier)
        back += identity > 0 and identity in earlier
    return back, again


def _most(values: NDArray[np.int64]) -> int:
    return Counter(values.tolist()).most_common(1)[0][0] if len(values) else -1


def interval(share: float, n: int) -> str:
    """The 95 % interval of a share (Wilson), in percent."""
    if not n:
        return "–"
    z = 1.96
    middle, half = share + z * z / (2 * n), z * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    low, high = (100 * (middle + sign * half) / (1 + z * z / n) for sign in (-1, 1))
    return f"{max(low, 0):.1f} to {high:.1f}"


def row(name: str, scenes: Sequence[Scene], answers: Sequence[Identities]) -> dict[str, str | int]:
    counts = [regained(scene, answer.ids) for scene, answer in zip(scenes, answers, strict=True)]
    back, again = (sum(column) for column in zip(*counts, strict=True))
    joins = [right for answer in answers for right in answer.joins]
    wrong = joins.count(False)
    return {
        "way": name,
        "returns": again,
        "regained, %": f"{100 * back / again:.1f}",
        "95 %": interval(back / again, again),
        "joins": len(joins),
        "false, %": f"{100 * wrong / len(joins):.1f}" if joins else "–",
        "95 % of these": interval(wrong / len(joins), len(joins)) if joins else "–",
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", choices=sorted(_SEEDS), default="report")
    parser.add_argument("--embedder", default="colour", help="as `ssat track --embedder` takes it")
    parser.add_argument("--cache", type=Path, help="folder for the scenes' boxes and features")
    options = parser.parse_args()
    embedder = load_embedder(options.embedder)
    scenes = [Scene.kept(seed, embedder, options.cache) for seed in _SEEDS[options.seeds]]
    alone = [tracked(scene, 0.0) for scene in scenes]
    visits = [scene.figures * _VISITS + scene.visits + 1 for scene in scenes]
    rows = [
        row("no memory", scenes, alone),
        row("--remember 300", scenes, [tracked(scene, _REMEMBER_SECONDS) for scene in scenes]),
        row("ssat link", scenes, [linked(scene, entry.ids) for scene, entry in zip(scenes, alone, strict=True)]),
        row("ssat link, visits given", scenes, [linked(s, ids) for s, ids in zip(scenes, visits, strict=True)]),
    ]
    conditions = f"{len(scenes)} scenes ({options.seeds}), preset strong, embedder {options.embedder}"
    report("remember", conditions, rows, [])


if __name__ == "__main__":
    main()
