"""Score the results of a benchmark."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from prefect import task
from prefect.cache_policies import NO_CACHE

from ssat.file_names import SUBMISSION_FILE
from ssat.mot.rows import MotRows, read_results
from ssat.mot.scores import Scoring, ToScore
from ssat.mot.sequence import by_public_detector
from ssat.mot.submission import check_submission, write_submission
from ssat.pipeline.benchmark_inputs import Prepared
from ssat.pipeline.benchmark_result import PackedSubmission, Scored, Speed
from ssat.pipeline.ceiling import CeilingInput, Ceilings
from ssat.pipeline.sequence_result import SequenceResult
from ssat.pipeline.settings import BenchmarkSettings
from tasks.services import available_cpus


@dataclass(frozen=True)
class BenchmarkScores:
    """Scores per sequence, per public detector of MOT17 where there are several, and over all sequences."""

    sequences: dict[str, Scored]
    detectors: dict[str, Scored]
    overall: Scored


@task(name="score results", persist_result=False, cache_policy=NO_CACHE)
def score_benchmark(
    prepared: list[Prepared],
    settings: BenchmarkSettings,
    folder: Path,
    tracked: dict[str, SequenceResult],
    detected: Mapping[str, MotRows],
) -> BenchmarkScores:
    """Score what stands in the result files, with frames per second. Of the split `test` there is speed alone.

    Args:
        detected: sequence → the detections that were tracked, for the ceiling; empty where the tracks lead the
            detector, so that no other association would have had the same ones.
    """
    if settings.split == "test":
        alone = {name: Scored(None, None, Speed.of([result])) for name, result in tracked.items()}
        return BenchmarkScores(alone, {}, Scored(None, None, Speed.of(list(tracked.values()))))
    to_score, ceilings = {}, None
    if detected:
        inputs = {
            entry.sequence.name: CeilingInput(
                detected[entry.sequence.name],
                entry.truth,
                entry.frames,
                entry.sequence.rules,
                entry.sequence.frame_rate,
            )
            for entry in prepared
        }
        ceilings = Ceilings(inputs, settings.protocol, available_cpus())
    for entry in prepared:
        name = entry.sequence.name
        results = read_results(folder / tracked[name].results, entry.sequence.n_frames)
        to_score[name] = ToScore(entry.truth, results, entry.frames, entry.sequence.rules)
    scoring = Scoring(to_score, settings.protocol, available_cpus())

    def over(names: Sequence[str]) -> Scored:
        ceiling = None if ceilings is None else ceilings.over(*names)
        return Scored(scoring.over(*names), ceiling, Speed.of([tracked[name] for name in names]))

    sequences = {name: over([name]) for name in tracked}
    detectors = {detector: over(list(names)) for detector, names in by_public_detector(tracked).items()}
    return BenchmarkScores(sequences, detectors, over(list(tracked)))


def pack_submission(folder: Path, tracked: dict[str, SequenceResult]) -> PackedSubmission:
    """Return the result files as a zip for the server, and what it would say of it."""
    path = write_submission(
        folder / SUBMISSION_FILE, {name: folder / result.results for name, result in tracked.items()}
    )
    found = check_submission(path)
    return PackedSubmission(SUBMISSION_FILE, found.benchmark, tuple(found.faults), tuple(found.warnings))
