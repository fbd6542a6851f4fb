"""Scores against the reference evaluators: TrackEval for `motchallenge`, py-motmetrics for `centertrack-half`."""

from __future__ import annotations

import tempfile
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ssat.mot.protocols import labels_that_count
from ssat.mot.rows import MotRows, read_ground_truth, read_results
from ssat.mot.scores import ToScore, score
from ssat.mot.sequence import MotSequence
from ssat.mot.splits import split_frames
from ssat.tracking import Tracker


def _assert_same(ours: tuple[dict[str, Any], Any], reference: dict[str, dict[str, float]]) -> None:
    scores, overall = ours
    for name, expected in reference.items():
        found = (overall if name == "overall" else scores[name]).to_dict()
        assert set(found) == set(expected)
        for key, value in expected.items():
            if key == "mota" and not expected["gt_dets"]:
                continue  # undefined: TrackEval says 0 for a sequence and −FP for all of them, we always say 0
            assert found[key] == pytest.approx(value, rel=1e-12, abs=1e-12), f"{name}: {key}"


def _random_rows(rng: np.random.Generator, n_frames: int, people: int, *, results: bool) -> MotRows:
    """People who stand in a row of overlapping places, on a coarse grid, so that overlaps tie and matches compete."""
    seen = rng.random((n_frames, people)) < rng.uniform(0.3, 1)
    frames, who = np.nonzero(seen)
    n = len(frames)
    places = rng.integers(0, 4, people)[who] * 6 + rng.integers(-3, 4, n)
    boxes = np.stack([places, rng.integers(0, 3, n), places + 10, 20 + rng.integers(0, 3, n)], axis=1).astype(float)
    if rng.random() < 0.5:
        boxes += rng.normal(0, 0.5, boxes.shape)
    ids = who + 1
    if results:
        # Tracks change hands: within a frame everybody's number is another one still.
        ids = (ids + rng.integers(0, 3, n_frames)[frames]) % people + 1
    classes = rng.choice([1, 1, 1, 1, 2, 3, 6, 7, 8, 12, 13], people)[who]
    flags = (rng.random(people) < 0.85).astype(float)[who]
    return MotRows(
        frames + 1, ids, boxes, np.ones(n) if results else flags, np.ones(n, int) if results else classes, True
    )


def _random(seed: int, n_frames: int, people: int, rules: str, classes: bool) -> dict[str, ToScore]:
    rng = np.random.default_rng(seed)
    made = {}
    for name in ("first", "second"):
        truth = _random_rows(rng, n_frames, people, results=False)
        found = _random_rows(rng, n_frames, int(rng.integers(1, people + 3)), results=True)
        if not classes:
            truth = MotRows(truth.frames, truth.ids, truth.boxes, truth.scores, np.ones(len(truth), int))
        made[name] = ToScore(truth, found, range(1, n_frames + 1), rules)  # type: ignore[arg-type]
    return made


@settings(max_examples=50, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    n_frames=st.integers(1, 30),
    people=st.integers(1, 9),
    data_set=st.sampled_from([("mot", False), ("mot", True), ("mot20", True)]),
)
def test_every_field_of_random_results_is_trackevals(
    seed: int, n_frames: int, people: int, data_set: tuple[str, bool], trackeval_scores: Any
) -> None:
    sequences = _random(seed, n_frames, people, *data_set)
    if not all(labels_that_count(one.truth, "motchallenge").any() for one in sequences.values()):
        return  # refused
    with tempfile.TemporaryDirectory() as folder:
        reference = trackeval_scores(Path(folder), sequences)
    _assert_same(score(sequences, "motchallenge"), reference)


@settings(max_examples=8, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), n_frames=st.integers(2, 20), people=st.integers(1, 6))
def test_random_results_by_motmetrics(seed: int, n_frames: int, people: int) -> None:
    import motmetrics

    sequences = _random(seed, n_frames, people, "mot", True)
    if not all((one.truth.scores >= 1).any() for one in sequences.values()):
        return
    accumulators = []
    for one in sequences.values():
        accumulator = motmetrics.MOTAccumulator(auto_id=True)
        for frame in one.frames:
            truth = one.truth.select((one.truth.frames == frame) & (one.truth.scores >= 1))
            found = one.results.select(one.results.frames == frame)
            pairs = [[_distance(a, b) for b in found.boxes.tolist()] for a in truth.boxes.tolist()]
            accumulator.update(truth.ids, found.ids, np.reshape(pairs, (len(truth), len(found))))
        accumulators.append(accumulator)
    names = ["mota", "motp", "idf1", "idp", "idr", "mostly_tracked", "partially_tracked", "mostly_lost"]
    names += ["num_false_positives", "num_misses", "num_switches", "num_fragmentations", "num_objects"]
    keys = ["mota", "motp", "idf1", "idp", "idr", "mt", "pt", "ml", "fp", "fn", "idsw", "frag", "gt_dets"]
    table = motmetrics.metrics.create().compute_many(
        accumulators, metrics=names, names=list(sequences), generate_overall=True
    )
    scores, overall = score(sequences, "centertrack-half")
    for name, row in table.iterrows():
        found = (overall if name == "OVERALL" else scores[name]).to_dict()
        for key, metric in zip(keys, names, strict=True):
            value = 1 - row[metric] if key == "motp" else row[metric]
            if np.isfinite(value):
                assert found[key] == pytest.approx(value, rel=1e-12, abs=1e-12), f"{name}: {key}"


def _distance(first: list[float], second: list[float]) -> float:
    """1 − IoU, written plainly; not a number below an overlap of one half."""
    width = min(first[2], second[2]) - max(first[0], second[0])
    height = min(first[3], second[3]) - max(first[1], second[1])
    both = max(width, 0) * max(height, 0)
    areas = [(box[2] - box[0]) * (box[3] - box[1]) for box in (first, second)]
    distance = 1 - both / (sum(areas) - both)
    return distance if distance <= 0.5 else np.nan


def test_the_tud_sequences_are_trackevals(tmp_path: Path, trackeval_scores: Any) -> None:
    data = Path(str(files("motmetrics"))) / "data"
    sequences = {
        name: ToScore(
            read_ground_truth(data / name / "gt.txt", n_frames),
            read_results(data / name / "test.txt", n_frames),
            range(1, n_frames + 1),
        )
        for name, n_frames in (("TUD-Campus", 71), ("TUD-Stadtmitte", 179))
    }
    _assert_same(score(sequences, "motchallenge"), trackeval_scores(tmp_path, sequences))


def test_boxes_without_extent_count_as_in_trackeval(tmp_path: Path, trackeval_scores: Any) -> None:
    data = Path(str(files("motmetrics"))) / "data" / "TUD-Campus"
    path = tmp_path / "TUD-Campus.txt"
    more = "1,901,10,10,0,20,1,-1,-1,-1\n2,901,10,10,5,0,1,-1,-1,-1\n3,902,30,30,0,0,1,-1,-1,-1\n"
    path.write_text(f"{(data / 'test.txt').read_text().rstrip()}\n{more}")
    results = read_results(path, 71, keep_empty_boxes=True)
    sequences = {"TUD-Campus": ToScore(read_ground_truth(data / "gt.txt", 71), results, range(1, 72))}
    _assert_same(score(sequences, "motchallenge"), trackeval_scores(tmp_path / "reference", sequences))


@pytest.mark.real_data
def test_the_real_validation_halves_are_trackevals(real_data: Path, tmp_path: Path, trackeval_scores: Any) -> None:
    sequences = {}
    for folder in sorted((real_data / "mot" / "MOT17" / "train").iterdir()):
        sequence = MotSequence.open(folder)
        frames = split_frames(sequence.n_frames, "val-half")[:60]
        detections = sequence.detections()
        tracker = Tracker(frame_rate=sequence.frame_rate)
        tracks = {frame: tracker.update(detections.boxes[detections.at(frame)], None) for frame in frames}
        n = sum(len(one) for one in tracks.values())
        results = MotRows(
            np.concatenate([np.full(len(one), frame) for frame, one in tracks.items()]),
            np.concatenate([one.ids for one in tracks.values()]),
            np.concatenate([one.boxes for one in tracks.values()]),
            np.ones(n),
            np.ones(n, int),
        )
        sequences[sequence.name] = ToScore(sequence.ground_truth(), results, frames)
    ours = score(sequences, "motchallenge")
    assert ours[1].idsw > 0
    _assert_same(ours, trackeval_scores(tmp_path, sequences))
