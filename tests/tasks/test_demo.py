from dataclasses import replace

import pytest

from ssat.pipeline.benchmark_result import BenchmarkResult
from tasks.demo import MethodScores, scores_of, wins
from tests.ssat.pipeline.results import BENCHMARK, scored


def _benchmarks(ssat: float, box: float, untrained: float) -> dict[str, BenchmarkResult]:
    idf1 = {"ssat": ssat, "box": box, "untrained": untrained}
    return {method: replace(BENCHMARK, overall=scored(idf1=value)) for method, value in idf1.items()}


def test_scores_are_the_overall_ones_and_those_promised() -> None:
    scores = scores_of(_benchmarks(0.6, 0.4, 0.5))
    assert scores["ssat"] == MethodScores(mota=0.7, idf1=0.6, idsw=12)
    assert list(scores) == ["ssat", "box", "untrained"]


@pytest.mark.parametrize(
    ("idf1", "won"),
    [((0.6, 0.4, 0.5), True), ((0.6, 0.6, 0.5), False), ((0.6, 0.4, 0.6), False), ((0.3, 0.4, 0.2), False)],
)
def test_ssat_wins_only_above_both(idf1: tuple[float, float, float], won: bool) -> None:
    assert wins(scores_of(_benchmarks(*idf1))) is won
