"""What appearance, and each extension beyond the paper, is worth on real sequences.

    python benchmarks/track_quality.py --data DIR --embedder embedder.safetensors [--pictures docs/images]

DIR holds MOT17/train/MOT17-09-FRCNN (its validation half is scored), MOT16/train/MOT16-09 and the two TUD sequences of
2DMOT2015, with frames; the other sequences of MOT17 need labels and detections only, and show the box term alone by
its `alpha`. Scores are those of the protocol `motchallenge`. Features are computed once and kept in the cache. Nothing
is claimed: tables and pictures are for reading. The pictures show numbers, no frames.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from support.report import report
from support.track_pictures import draw_alpha, draw_distances, people, steps

from ssat.embedding.embedder import Embedder
from ssat.mot.rows import MotRows
from ssat.mot.score_values import Scores
from ssat.mot.scores import ToScore, score
from ssat.mot.sequence import MotSequence
from ssat.mot.splits import Split, split_frames
from ssat.pipeline.feature_cache import feature_key, images_digest, load_features, store_features
from ssat.pipeline.pipeline import TrackedFrames, track_frames
from ssat.report.identity_lines import IdentityLines, identity_lines_figure
from ssat.tracking import Tracker, TrackerConfig
from ssat.tracking.interpolate import interpolated
from ssat.video.sources import ImageSource, read_ahead

# Name, sequence, split, detections, smallest score that counts, and what the low-score round adds: from which score
# on, and below which a detection is weak.
_RUNS: list[tuple[str, str, Split, str, float | None, tuple[float | None, float]]] = [
    ("MOT17-09 val-half, public", "MOT17/train/MOT17-09-FRCNN", "val-half", "public", None, (None, 0.9)),
    ("TUD-Campus, public", "2DMOT2015/train/TUD-Campus", "train", "public", None, (None, 20.0)),
    ("TUD-Stadtmitte, public", "2DMOT2015/train/TUD-Stadtmitte", "train", "public", None, (None, 20.0)),
    ("MOT17-09 val-half, YOLOX", "MOT17/train/MOT17-09-FRCNN", "val-half", "det_yolox.txt", 0.6, (0.1, 0.6)),
    ("MOT16-09, public", "MOT16/train/MOT16-09", "train", "public", 0.0, (-0.1, 0.0)),
]
_LABELS_ONLY: list[tuple[str, float | None]] = [("public", None), ("det_yolox.txt", 0.6)]
_ALPHAS = (0.25, 0.5, 1.0, 2.0, 4.0)
_CHOSEN_ALPHA = 1.0  # of the preset quick


def variants(weak: float) -> dict[str, tuple[str, TrackerConfig, float]]:
    """Name → whose features, configuration, seconds of a gap that is filled afterwards."""
    quick = TrackerConfig(alpha=_CHOSEN_ALPHA)
    chosen: dict[str, tuple[str, TrackerConfig, float]] = {}
    for constants, config in (("alpha 1", quick), ("alpha 2", TrackerConfig())):
        chosen[f"box term alone, {constants}"] = ("none", config, 0.0)
        chosen[f"untrained, {constants}"] = ("untrained", config, 0.0)
        chosen[f"trained, {constants}"] = ("trained", config, 0.0)
    changes: dict[str, dict[str, Any]] = {
        "no box term": {"box_term": False},
        "no accumulation": {"accumulate": False},
        "hungarian": {"assignment": "hungarian"},
        "kalman": {"motion": "kalman"},
        "camera motion": {"camera_motion": True},
        "low score": {"low_score": weak},
    }
    chosen |= {name: ("trained", quick.model_copy(update=change), 0.0) for name, change in changes.items()}
    return chosen | {"gaps filled": ("trained", quick, 1.0)}


@dataclass(frozen=True)
class Run:
    """A sequence with detections: `strong` are those that count, `everyone` has the weak ones as well."""

    name: str
    sequence: MotSequence
    frames: range
    strong: MotRows
    everyone: MotRows
    truth: MotRows
    weak: float

    @property
    def source(self) -> ImageSource:
        return self.sequence.frame_source(self.frames)

    def features(self, embedder: Embedder, cache: Path) -> np.ndarray:
        """Of `everyone`, from the cache where they are there."""
        images = images_digest(list(self.source.paths))
        key = feature_key(embedder.digest, embedder.input_size, images, self.everyone)
        known = load_features(cache, key, len(self.everyone))
        if known is not None:
            return known.features
        tracked = track_frames(read_ahead(self.source), self.everyone, Tracker(), embedder=embedder)
        assert tracked.features is not None
        store_features(cache, key, tracked.features, tracked.seconds)
        return tracked.features

    def of_strong(self, features: np.ndarray) -> np.ndarray:
        """The rows of `strong`, which are the detections of `everyone` that score enough."""
        return features if self.strong is self.everyone else features[self.everyone.scores >= self.strong.scores.min()]

    def track(self, config: TrackerConfig, features: np.ndarray | None) -> TrackedFrames:
        weak = config.low_score is not None
        detections = self.everyone if weak else self.strong
        if features is not None and not weak:
            features = self.of_strong(features)
        numbered: Any = read_ahead(self.source) if config.camera_motion else ((n, None) for n in self.frames)
        return track_frames(numbered, detections, Tracker(config, self.sequence.frame_rate), features=features)

    def score(self, frames: Any, ids: Any, boxes: Any, scores: Any) -> Scores:
        results = MotRows(frames, ids, boxes, scores, np.ones(len(ids), np.int64))
        return score({self.name: ToScore(self.truth, results, self.frames, self.sequence.rules)}, "motchallenge")[1]


def runs(data: Path, only: str) -> Iterator[Run]:
    for name, place, split, named, least, (floor, weak) in _RUNS:
        if only not in name or not (data / place / "img1").is_dir():
            print(f"left out: {name}")
            continue
        sequence = MotSequence.open(data / place)
        frames = split_frames(sequence.n_frames, split)
        given = sequence.detections(named).within(frames)
        everyone = given if floor is None else given.select(given.scores >= floor)
        strong = everyone if least is None else everyone.select(everyone.scores >= least)
        yield Run(name, sequence, frames, strong, everyone, sequence.ground_truth().within(frames), weak)


def by_alpha(data: Path) -> dict[str, dict[float, float]]:
    """IDF1 of the box term alone over the validation halves of MOT17 that are there: detections → alpha → share."""
    ones = [MotSequence.open(folder) for folder in sorted((data / "MOT17/train").glob("MOT17-*"))]
    answer: dict[str, dict[float, float]] = {}
    for named, least in _LABELS_ONLY:
        for alpha in _ALPHAS:
            scored = {}
            for sequence in ones:
                frames = split_frames(sequence.n_frames, "val-half")
                given = sequence.detections(named).within(frames)
                given = given if least is None else given.select(given.scores >= least)
                tracker = Tracker(TrackerConfig(alpha=alpha), sequence.frame_rate)
                t = track_frames(((number, None) for number in frames), given, tracker)
                results = MotRows(t.frames, t.ids, t.boxes, t.scores, np.ones(len(t.ids), np.int64))
                scored[sequence.name] = ToScore(sequence.ground_truth().within(frames), results, frames, sequence.rules)
            kind = "YOLOX" if "yolox" in named else "public"
            overall = score(scored, "motchallenge")[1]
            answer.setdefault(f"box term, {len(ones)} of MOT17, {kind}", {})[alpha] = overall.idf1
            print(f"box term alone, alpha {alpha:g}, {kind}: IDF1 {100 * overall.idf1:.1f}", flush=True)
    return answer


def pictures(every: list[Run], networks: dict[str, Embedder], cache: Path, data: Path, folder: Path) -> None:
    """Draws distances, identities and the effect of alpha."""
    panels: dict[str, dict[str, Any]] = {}
    shown = [run for run in every if "YOLOX" not in run.name]
    who = {run.name: people(run.truth, run.strong, run.frames) for run in every}
    for network, embedder in networks.items():
        for run in shown:
            features = run.of_strong(run.features(embedder, cache))
            run_steps = steps(run.strong, who[run.name], features, run.frames, TrackerConfig().alpha)
            panels.setdefault(network, {})[run.name] = run_steps
            print(
                f"{network}, {run.name}: median D_cos "
                f"{run_steps.median('appearance', same=True):.2f} of the same person, "
                f"{run_steps.median('appearance', same=False):.2f} of others; D_bbox at alpha 2 "
                f"{run_steps.median('position', same=True):.2f} and {run_steps.median('position', same=False):.2f}"
            )
    draw_distances(panels, folder / "tracking-distances.png")
    quick = TrackerConfig(alpha=_CHOSEN_ALPHA)
    for run in every:
        if run.name not in ("MOT17-09 val-half, public", "TUD-Stadtmitte, public"):
            continue
        lines = []
        for title, features in (("box term alone", None), ("trained", run.features(networks["trained"], cache))):
            tracked = run.track(quick, features)
            # Every detection has an identity, in the order of the detections.
            seen = who[run.name] > 0
            scores = run.score(tracked.frames, tracked.ids, tracked.boxes, tracked.scores)
            named = f"{title}, IDF1 {100 * scores.idf1:.1f}"
            lines.append(IdentityLines(named, tracked.frames[seen], who[run.name][seen], tracked.ids[seen]))
        identity_lines_figure(lines, folder / f"tracking-{run.sequence.name.lower()}.png")
    alphas: dict[str, dict[float, float]] = by_alpha(data)
    for run in every:
        features = run.features(networks["trained"], cache)
        for alpha in _ALPHAS:
            tracked = run.track(TrackerConfig(alpha=alpha), features)
            scores = run.score(tracked.frames, tracked.ids, tracked.boxes, tracked.scores)
            alphas.setdefault(f"trained, {run.name}", {})[alpha] = scores.idf1
    draw_alpha(alphas, _CHOSEN_ALPHA, folder / "tracking-alpha.png")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    data = Path(os.environ.get("SSAT_REAL_DATA", "../shared/data")) / "mot"
    parser.add_argument("--data", type=Path, default=data)
    parser.add_argument("--embedder", type=Path)
    parser.add_argument("--cache", type=Path, default=Path("workspace/cache/features"))
    parser.add_argument("--only", default="", help="runs whose name holds this")
    parser.add_argument("--pictures", type=Path, help="folder for the pictures, which need all runs")
    options = parser.parse_args()
    if options.embedder is None or not options.data.is_dir():
        print(f"left out: needs sequences (--data {options.data}) and a trained network (--embedder FILE)")
        return
    trained = Embedder.load(options.embedder)
    untrained = Embedder.untrained(trained.network.architecture, trained.input_size)
    networks = {"trained": trained, "untrained": untrained}
    every, rows = list(runs(options.data, options.only)), []
    for run in every:
        for name, (whose, config, filled) in variants(run.weak).items():
            features = None if whose == "none" else run.features(networks[whose], options.cache)
            tracked = run.track(config, features)
            table = (tracked.frames, tracked.ids, tracked.boxes, tracked.scores)
            if filled:
                table = interpolated(*table, round(filled * run.sequence.frame_rate))
            scores = run.score(*table)
            rows.append(
                {
                    "run": run.name,
                    "tracker": name,
                    "MOTA": f"{100 * scores.mota:.1f}",
                    "IDF1": f"{100 * scores.idf1:.1f}",
                    "IDSW": scores.idsw,
                    "FP": scores.fp,
                    "FN": scores.fn,
                }
            )
            print(*rows[-1].values(), sep=" | ", flush=True)
    if options.pictures is not None:
        pictures(every, networks, options.cache, options.data, options.pictures)
    network = f"{trained.network.architecture} {trained.digest[:12]}"
    conditions = f"protocol motchallenge; embedder {options.embedder.name} ({network})"
    report("track_quality", conditions, rows, [])


if __name__ == "__main__":
    main()
