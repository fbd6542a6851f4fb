"""How the results of a benchmark score."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from prefect import task
from prefect.cache_policies import NO_CACHE

from ssat.mot.rows import MotRows, read_results
from ssat.mot.scores import Scoring, ToScore
from ssat.mot.sequence import by_public_detector
from ssat.mot.submission import check_submission, write_submission
from ssat.pipeline.benchmark_inputs import Prepared
from ssat.pipeline.ceiling import CeilingInput, Ceilings
from ssat.pipeline.sequence_result import STAGES, SequenceResult
from ssat.pipeline.settings import BenchmarkSettings
from tasks.services import available_cpus

SUBMISSION_FILE = "submission.zip"


@task(name="score results", persist_result=False, cache_policy=NO_CACHE)
def score_benchmark(
    prepared: list[Prepared],
    settings: BenchmarkSettings,
    folder: Path,
    tracked: dict[str, SequenceResult],
    detected: Mapping[str, MotRows],
) -> tuple[dict[str, dict[str, Any]], dict[str, dict[str, Any]], dict[str, Any]]:
    """Scores per sequence, per public detector of MOT17 where there are several, and overall, with frames per second.

    What is scored is what stands in the result files. Of the split `test` there is speed alone.

    Args:
        detected: sequence → the detections that were tracked, for the ceiling; empty where the tracks lead the
            detector, so that no other association would have had the same ones.
    """
    if settings.split == "test":
        return {name: _speed([answer]) for name, answer in tracked.items()}, {}, _speed(list(tracked.values()))
    to_score, ceilings = {}, None
    if detected:
        inputs = {
            one.sequence.name: CeilingInput(
                detected[one.sequence.name], one.truth, one.frames, one.sequence.rules, one.sequence.frame_rate
            )
            for one in prepared
        }
        ceilings = Ceilings(inputs, settings.protocol, available_cpus())
    for one in prepared:
        name = one.sequence.name
        results = read_results(folder / tracked[name].results, one.sequence.n_frames)
        to_score[name] = ToScore(one.truth, results, one.frames, one.sequence.rules)
    scoring = Scoring(to_score, settings.protocol, available_cpus())

    def over(names: Iterable[str]) -> dict[str, Any]:
        names = list(names)
        scores = scoring.over(*names)
        ceiling = {} if ceilings is None else ceilings.over(*names).to_dict(scores.idf1)
        return {**scores.to_dict(), **ceiling, **_speed([tracked[name] for name in names])}

    sequences = {name: over([name]) for name in tracked}
    detectors = {detector: over(names) for detector, names in by_public_detector(tracked).items()}
    return sequences, detectors, over(list(tracked))


def pack_submission(folder: Path, tracked: dict[str, SequenceResult]) -> dict[str, Any]:
    """The result files as a zip for the server, and what it would say: "file", "benchmark", "faults", "warnings"."""
    path = write_submission(folder / SUBMISSION_FILE, {name: folder / one.results for name, one in tracked.items()})
    return {"file": SUBMISSION_FILE, **asdict(check_submission(path))}


def _speed(tracked: list[SequenceResult]) -> dict[str, Any]:
    n_frames = sum(one.n_frames for one in tracked)
    seconds = {stage: sum(one.seconds[stage] for one in tracked) for stage in STAGES}
    total = sum(seconds.values())
    rates = [one.detect_fps for one in tracked if one.detect_fps is not None]
    detecting = {"detect": round(len(rates) / sum(1 / rate for rate in rates), 2)} if rates else {}
    return {
        "fps": round(n_frames / total, 2) if total else 0.0,
        "fps_by_stage": {stage: round(n_frames / value, 1) for stage, value in seconds.items() if value} | detecting,
        "frames": n_frames,
        "detections": sum(one.n_detections for one in tracked),
    }
