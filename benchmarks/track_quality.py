"""What appearance, and each extension beyond the paper, is worth on real sequences.

    python benchmarks/track_quality.py --data DIR --embedder embedder.safetensors [--cache DIR]

DIR holds MOT17/train/MOT17-09-FRCNN (its validation half is scored), MOT16/train/MOT16-09 and the two TUD sequences of
2DMOT2015, with frames. Scores are those of the protocol `motchallenge`. Features are computed once and kept in the
cache. Nothing is claimed: the table is for reading.
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import Any

from support.report import report

from ssat.embedding.embedder import Embedder
from ssat.mot.feature_cache import feature_key, images_digest, load_features, store_features
from ssat.mot.rows import MotRows
from ssat.mot.scores import ToScore, score
from ssat.mot.sequence import MotSequence
from ssat.mot.splits import Split, split_frames
from ssat.tracking import Tracker, TrackerConfig
from ssat.tracking.interpolate import interpolated
from ssat.tracking.pipeline import track_frames
from ssat.tracking.sources import ImageSource, read_ahead

# Sequence, split, detections, smallest score that counts, and what the low-score round adds: from which score on, and
# below which a detection is weak.
_RUNS: list[tuple[str, Split, str, float | None, tuple[float | None, float]]] = [
    ("MOT17/train/MOT17-09-FRCNN", "val-half", "public", None, (None, 0.9)),
    ("2DMOT2015/train/TUD-Campus", "train", "public", None, (None, 20.0)),
    ("2DMOT2015/train/TUD-Stadtmitte", "train", "public", None, (None, 20.0)),
    ("MOT17/train/MOT17-09-FRCNN", "val-half", "det_yolox.txt", 0.6, (0.1, 0.6)),
    ("MOT16/train/MOT16-09", "train", "public", 0.0, (-0.1, 0.0)),
]


def variants(weak: float) -> dict[str, tuple[str, TrackerConfig, float]]:
    """Name → whose features, configuration, seconds of a gap that is filled afterwards."""
    paper = TrackerConfig()
    return {
        "box term alone": ("none", paper, 0.0),
        "untrained": ("untrained", paper, 0.0),
        "trained": ("trained", paper, 0.0),
        "trained, no box term": ("trained", paper.model_copy(update={"box_term": False}), 0.0),
        "trained, no accumulation": ("trained", paper.model_copy(update={"accumulate": False}), 0.0),
        "trained, hungarian": ("trained", paper.model_copy(update={"assignment": "hungarian"}), 0.0),
        "trained, alpha 1": ("trained", paper.model_copy(update={"alpha": 1.0}), 0.0),
        "box term alone, alpha 1": ("none", paper.model_copy(update={"alpha": 1.0}), 0.0),
        "trained + kalman": ("trained", paper.model_copy(update={"motion": "kalman"}), 0.0),
        "trained + camera motion": ("trained", paper.model_copy(update={"camera_motion": True}), 0.0),
        "trained + low score": ("trained", paper.model_copy(update={"low_score": weak}), 0.0),
        "trained + gaps filled": ("trained", paper, 1.0),
    }


def features_of(
    embedder: Embedder, one: MotSequence, frames: range, detections: MotRows, images: str, cache: Path
) -> Any:
    """Features of all detections, from the cache where they are there."""
    key = feature_key(embedder.digest, embedder.input_size, images, detections)
    known = load_features(cache, key, len(detections))
    if known is None:
        source = ImageSource(one.name, one.frame_rate, [one.image_path(n) for n in frames], frames)
        tracked = track_frames(read_ahead(source), detections, Tracker(), embedder=embedder)
        assert tracked.features is not None
        store_features(cache, key, tracked.features, tracked.seconds)
        return tracked.features
    return known.features


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    data = Path(os.environ.get("SSAT_REAL_DATA", "../shared/data")) / "mot"
    parser.add_argument("--data", type=Path, default=data)
    parser.add_argument("--embedder", type=Path)
    parser.add_argument("--cache", type=Path, default=Path("workspace/cache/features"))
    parser.add_argument("--only", default="", help="sequences whose path holds this")
    options = parser.parse_args()
    if options.embedder is None or not options.data.is_dir():
        print(f"left out: needs sequences (--data {options.data}) and a trained network (--embedder FILE)")
        return
    trained = Embedder.load(options.embedder)
    untrained = Embedder.untrained(trained.network.architecture, trained.input_size)
    rows = []
    for place, split, named, least, (floor, weak) in _RUNS:
        if options.only not in place or not (options.data / place / "img1").is_dir():
            print(f"left out: {place}")
            continue
        one = MotSequence.open(options.data / place)
        frames = split_frames(one.n_frames, split)
        images = images_digest([one.image_path(n) for n in frames])
        given = one.detections(named).within(frames)
        strong, all_of_them = (given if low is None else given.select(given.scores >= low) for low in (least, floor))
        truth = one.ground_truth().within(frames)
        for name, (whose, config, filled) in variants(weak).items():
            detections = strong if config.low_score is None else all_of_them
            features = None
            if whose != "none":
                embedder = trained if whose == "trained" else untrained
                features = features_of(embedder, one, frames, all_of_them, images, options.cache)
                if detections is strong and least is not None:
                    features = features[all_of_them.scores >= least]
            numbered: Any = ((n, None) for n in frames)
            if config.camera_motion:
                source = ImageSource(one.name, one.frame_rate, [one.image_path(n) for n in frames], frames)
                numbered = read_ahead(source)
            tracked = track_frames(numbered, detections, Tracker(config, one.frame_rate), features=features)
            table = (tracked.frames, tracked.ids, tracked.boxes, tracked.scores)
            if filled:
                table = interpolated(*table, round(filled * one.frame_rate))
            results = MotRows(table[0], table[1], table[2], table[3], table[1] * 0 + 1)
            _, scores = score({one.name: ToScore(truth, results, frames)}, "motchallenge")
            rows.append(
                {
                    "sequence": f"{one.name} {split}",
                    "detections": "YOLOX" if "yolox" in named else "public",
                    "tracker": name,
                    "MOTA": f"{100 * scores.mota:.1f}",
                    "IDF1": f"{100 * scores.idf1:.1f}",
                    "IDSW": scores.idsw,
                    "FP": scores.fp,
                    "FN": scores.fn,
                }
            )
            print(*rows[-1].values(), sep=" | ", flush=True)
    network = f"{trained.network.architecture} {trained.digest[:12]}"
    conditions = f"protocol motchallenge; embedder {options.embedder.name} ({network})"
    report("track_quality", conditions, rows, [])


if __name__ == "__main__":
    main()
