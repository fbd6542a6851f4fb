"""A benchmark's result, for tests of those who read it."""

from ssat.mot.score_values import Scores
from ssat.pipeline.benchmark_result import BenchmarkResult, Scored, Speed
from ssat.pipeline.sequence_result import SequenceResult
from ssat.pipeline.stage_seconds import StageSeconds


def scored(**values: float) -> Scored:
    """Scores of 71 frames; `values` as `Scores` names them."""
    shares = dict.fromkeys(("motp", "idf1", "idp", "idr", "hota", "deta", "assa"), 0.5)
    counts = dict.fromkeys(("mt", "pt", "ml", "fp", "fn", "frag", "gt_dets", "gt_ids"), 3)
    speed = Speed(25.0, {"associate": 100.0}, 71, 300)
    return Scored(Scores(**{**shares, **counts, "mota": 0.7, "idsw": 12, **values}), None, speed)


SEQUENCE = SequenceResult("WALK-01.txt", 71, 300, StageSeconds(associate=2.84))
BENCHMARK = BenchmarkResult(
    sequences={"WALK-01": scored()},
    detectors={},
    overall=scored(),
    split="train",
    detections="public",
    min_score=None,
    tracker="ssat",
    protocol="motchallenge",
    detector=None,
    detector_sha256=None,
    refine="none",
    departures=("alpha 1",),
    extensions=(),
    embedder="colour",
    embedder_digest="0123456789abcdef",
    data_digest="d" * 64,
    folder="benchmark/0123",
    files={"WALK-01": SEQUENCE},
    submission=None,
    report="benchmark/0123/report.html",
    skipped={"WALK-02": "no frames"},
    mlflow_run_id="0" * 32,
)
