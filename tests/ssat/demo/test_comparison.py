"""The demo's sequences tracked by methods that need no training."""

from pathlib import Path

from ssat.demo.comparison import BOX, CEILING, COLOUR, compare, result_path, untrained_methods
from ssat.demo.settings import DemoSettings
from ssat.demo.world import SEQUENCES, write_sequences
from ssat.mot.rows import read_results


def test_every_method_is_scored_against_the_ceiling(tmp_path: Path) -> None:
    mot = write_sequences(tmp_path / "mot", DemoSettings(frames=30, figures=4))
    done: list[int] = []
    methods = untrained_methods()
    scores = compare(mot, methods, tmp_path / "results", advance=done.append)
    assert list(scores) == [*methods, CEILING]
    assert len(done) == len(methods) * len(SEQUENCES)
    assert scores[CEILING].idsw == 0
    # Filled gaps are boxes that no detector gave: with them a method may pass the ceiling.
    unfilled = [name for name, method in methods.items() if not method.interpolate_seconds]
    assert all(scores[CEILING].idf1 > scores[name].idf1 for name in unfilled)
    assert scores[COLOUR].idf1 != scores[BOX].idf1
    for name in methods:
        for sequence in SEQUENCES:
            assert len(read_results(result_path(tmp_path / "results", name, sequence), 30))
