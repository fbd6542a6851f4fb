from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest

from ssat.mot.protocols import ScoredFrame, scored_frames
from ssat.mot.rows import read_ground_truth, read_results
from ssat.mot.scores import ToScore, score
from ssat.mot.switches import Stretch, Switch, identity_switches, stretches

_TUD = {"TUD-Campus": (71, 7), "TUD-Stadtmitte": (179, 7)}


@pytest.mark.parametrize("protocol", ["centertrack-half", "motchallenge"])
@pytest.mark.parametrize("name", _TUD)
def test_as_many_events_as_the_published_scores_count(name: str, protocol: str) -> None:
    n_frames, published = _TUD[name]
    data = Path(str(files("motmetrics"))) / "data" / name
    truth, results = read_ground_truth(data / "gt.txt", n_frames), read_results(data / "test.txt", n_frames)
    frames = range(1, n_frames + 1)
    events = identity_switches(stretches(scored_frames(truth, results, frames, protocol), protocol))
    assert len(events) == published
    scores, _ = score({name: ToScore(truth, results, frames)}, protocol)
    assert len(events) == scores[name].idsw


def _frame(number: int, pairs: dict[int, int]) -> ScoredFrame:
    """Each person overlaps with one identity and with no other."""
    truth, results = np.array(list(pairs), np.int64), np.array(list(pairs.values()), np.int64)
    return ScoredFrame(number, truth, results, np.eye(len(pairs)) * 0.8)


def test_events_say_who_when_and_what_was_lost() -> None:
    # Person 1: ten frames as 5, two frames unseen, then four as 6. Person 2 stays 9.
    frames = [_frame(n, {1: 5, 2: 9}) for n in range(1, 11)]
    frames += [_frame(n, {2: 9}) for n in (11, 12)] + [_frame(n, {1: 6, 2: 9}) for n in range(13, 17)]
    found = stretches(frames, "motchallenge")
    assert found == [Stretch(1, 5, 1, 10, 10), Stretch(2, 9, 1, 16, 16), Stretch(1, 6, 13, 16, 4)]
    assert identity_switches(found) == [Switch(13, 10, 1, 5, 6, 10, 4)]
    assert identity_switches(found)[0].weight == 4


def test_the_protocols_differ_after_a_gap() -> None:
    # The person comes back where two identities overlap: the old one less than a new one.
    both = ScoredFrame(3, np.array([1]), np.array([5, 6]), np.array([[0.6, 0.9]]))
    frames = [_frame(1, {1: 5}), _frame(2, {}), both]
    assert identity_switches(stretches(frames, "centertrack-half")) == []
    assert len(identity_switches(stretches(frames, "motchallenge"))) == 1
    touching = [_frame(2, {1: 5}), both]
    assert identity_switches(stretches(touching, "motchallenge")) == []


def test_nothing_found_has_no_events() -> None:
    empty = ScoredFrame(1, np.array([1]), np.empty(0, np.int64), np.empty((1, 0)))
    assert stretches([empty, _frame(2, {})], "motchallenge") == []
