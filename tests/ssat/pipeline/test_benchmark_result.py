"""The result of a benchmark in memory and as a file."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from ssat.json_values import json_values
from ssat.mot.ceiling import Ceiling
from ssat.pipeline.benchmark_result import BenchmarkResult, PackedSubmission, Scored, Speed
from ssat.pipeline.sequence_result import SequenceResult
from ssat.pipeline.stage_seconds import StageSeconds
from tests.ssat.pipeline.results import BENCHMARK, scored

CEILING = Ceiling(mota=0.8, idf1=0.9, hota=0.85, box_idf1=0.4)
SUBMISSION = PackedSubmission("submission.zip", "MOT17", ("a fault",), ())
TEST_SPLIT = Scored(None, None, Speed(25.0, {"associate": 100.0}, 71, 300))


@pytest.mark.parametrize(
    "result",
    [
        BENCHMARK,
        replace(BENCHMARK, overall=replace(scored(), ceiling=CEILING), detectors={"FRCNN": scored(idf1=0.25)}),
        replace(BENCHMARK, sequences={}, overall=TEST_SPLIT, split="test", submission=SUBMISSION, report=None),
    ],
)
def test_a_file_gives_the_result_again(result: BenchmarkResult, tmp_path: Path) -> None:
    path = tmp_path / "benchmark.json"
    result.save(path)
    assert BenchmarkResult.load(path) == replace(result, reused=True)
    assert {**json.loads(path.read_text()), "reused": False} == json_values(result)


def test_scores_ceiling_and_speed_stand_side_by_side() -> None:
    values = replace(scored(idf1=0.6), ceiling=CEILING).as_json()
    assert (values["idf1"], values["ceiling_idf1"], values["box_idf1"], values["fps"]) == (0.6, 0.9, 0.4, 25.0)
    assert values["closed_share"] == pytest.approx((0.6 - 0.4) / (0.9 - 0.4))
    assert list(TEST_SPLIT.as_json()) == ["fps", "fps_by_stage", "frames", "detections"]
    numbers = replace(BENCHMARK, overall=scored(idf1=0.6)).numbers()
    assert (numbers["idf1"], numbers["WALK-01/idf1"], numbers["WALK-01/detections"]) == (0.6, 0.5, 300)
    assert not any("fps_by_stage" in name for name in numbers)


def test_speed_leaves_drawing_and_detecting_out_and_adds_up_over_sequences() -> None:
    first = SequenceResult("a.txt", 10, 30, StageSeconds(read=1.0, associate=1.0, detect=9.0, draw=5.0), detect_fps=2.0)
    second = SequenceResult("b.txt", 30, 50, StageSeconds(associate=2.0), detect_fps=6.0)
    speed = Speed.of([first, second])
    assert (speed.fps, speed.frames, speed.detections) == (10.0, 40, 80)
    assert speed.fps_by_stage == {"read": 40.0, "associate": 13.3, "detect": 3.0}
    assert Speed.of([]) == Speed(0.0, {}, 0, 0)


def test_the_headline_names_protocol_split_and_what_departs_from_the_paper() -> None:
    assert BENCHMARK.headline == (
        "ssat on public detections, embedder colour (01234567), alpha 1, split train, protocol motchallenge"
    )
    filtered = replace(BENCHMARK, min_score=0.5, tracker="sort", embedder_digest=None, extensions=("motion kalman",))
    assert filtered.headline.startswith("sort on public detections, score ≥ 0.5, beyond the paper: motion kalman")
    refined = replace(BENCHMARK, detector="centertrack", detector_sha256="fedcba9876", refine="frozen", split="test")
    assert "on detections of centertrack (fedcba98), refined frozen" in refined.headline
    assert refined.headline.endswith("split test, which the server scores")
