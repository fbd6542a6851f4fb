from dataclasses import replace
from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest

from ssat.errors import InputError
from ssat.mot.rows import MotRows, read_ground_truth, read_results
from ssat.mot.scores import ToScore, score
from ssat.mot.sequence import MotSequence
from ssat.mot.splits import split_frames
from ssat.tracking import Tracker


@pytest.mark.parametrize("protocol", ["centertrack-half", "motchallenge"])
def test_the_published_scores_of_the_tud_sequences(protocol: str) -> None:
    data = Path(str(files("motmetrics"))) / "data"
    sequences = {
        name: ToScore(
            read_ground_truth(data / name / "gt.txt", n_frames),
            read_results(data / name / "test.txt", n_frames),
            range(1, n_frames + 1),
        )
        for name, n_frames in (("TUD-Campus", 71), ("TUD-Stadtmitte", 179))
    }
    scores, overall = score(sequences, protocol)
    assert (round(100 * overall.idf1, 1), round(100 * overall.mota, 1), overall.idsw) == (62.4, 55.5, 14)
    assert (round(100 * scores["TUD-Campus"].idf1, 1), scores["TUD-Campus"].idsw) == (55.8, 7)
    assert (overall.gt_ids, overall.mt, overall.pt, overall.ml) == (18, 6, 10, 2)


def _rows(frames: list[int], ids: list[int], lefts: list[float]) -> MotRows:
    left, n = np.array(lefts, float), len(frames)
    boxes = np.stack([left, np.zeros(n), left + 10, np.full(n, 10.0)], axis=1)
    return MotRows(np.array(frames), np.array(ids), boxes, np.ones(n), np.ones(n, int))


def test_counts_by_hand() -> None:
    # One person over four frames; frame 2 missed, frame 3 a false alarm beside it, frame 4 under another identity.
    truth = _rows([1, 2, 3, 4], [1, 1, 1, 1], [0, 0, 0, 0])
    results = _rows([1, 3, 3, 4], [5, 5, 6, 7], [0, 0, 50, 0])
    scores, overall = score({"one": ToScore(truth, results, range(1, 5))}, "centertrack-half")
    assert (overall.fp, overall.fn, overall.idsw, overall.gt_dets) == (1, 1, 1, 4)
    assert overall.mota == pytest.approx(1 - 3 / 4)
    # Identity 5 is the best match: 2 true, 2 of the truth missed, 2 of the results false.
    assert overall.idf1 == pytest.approx(2 * 2 / (4 + 4))
    assert overall.motp == pytest.approx(1.0)
    assert scores["one"] == overall


def test_an_overlap_of_exactly_one_half_matches() -> None:
    truth, results = _rows([1], [1], [0.0]), _rows([1], [5], [0.0])
    results.boxes[:, 3] = 20.0  # twice as tall: 100 of 200 square pixels are shared
    _, overall = score({"one": ToScore(truth, results, range(1, 2))}, "centertrack-half")
    assert overall.fn == 0
    _, overall = score({"one": ToScore(truth, _rows([1], [5], [3.4]), range(1, 2))}, "centertrack-half")
    assert (overall.fn, overall.fp) == (1, 1)


def test_no_results_score_zero_and_do_not_crash() -> None:
    truth, nothing = _rows([1, 2], [1, 1], [0, 0]), _rows([], [], [])
    _, overall = score({"one": ToScore(truth, nothing, range(1, 3))}, "motchallenge")
    assert (overall.mota, overall.idf1, overall.idp, overall.motp, overall.fn) == (0.0, 0.0, 0.0, 0.0, 2)


def test_nothing_to_score_against() -> None:
    truth = _rows([1], [1], [0])
    with pytest.raises(InputError, match="sequence one: no ground truth in frames 2 … 3"):
        score({"one": ToScore(truth, truth, range(2, 4))}, "centertrack-half")
    with pytest.raises(InputError, match="no sequence"):
        score({}, "centertrack-half")


@pytest.mark.real_data
@pytest.mark.parametrize(
    ("detections", "min_score", "expected"),
    # The box tracker of an independent implementation, official preprocessing.
    [("public", None, (52.6, 50.0, 12)), ("det_yolox.txt", 0.6, (80.2, 70.7, 14))],
)
def test_the_box_tracker_on_the_real_validation_half(
    detections: str, min_score: float | None, expected: tuple[float, float, int], real_data: Path
) -> None:
    sequence = MotSequence.open(real_data / "mot" / "MOT17" / "train" / "MOT17-09-FRCNN")
    rows = sequence.detections(detections)
    if min_score is not None:
        rows = rows.select(rows.scores >= min_score)
    frames = split_frames(sequence.n_frames, "val-half")
    tracker = Tracker(frame_rate=sequence.frame_rate)
    tracks = {frame: tracker.update(rows.boxes[rows.at(frame)], None) for frame in frames}
    results = MotRows(
        np.concatenate([np.full(len(one), frame) for frame, one in tracks.items()]),
        np.concatenate([one.ids for one in tracks.values()]),
        np.concatenate([one.boxes for one in tracks.values()]),
        np.ones(sum(len(one) for one in tracks.values())),
        np.ones(sum(len(one) for one in tracks.values()), int),
    )
    _, overall = score({"09": ToScore(sequence.ground_truth(), results, frames)}, "motchallenge")
    assert (round(100 * overall.mota, 1), round(100 * overall.idf1, 1), overall.idsw) == expected


@pytest.mark.parametrize(
    ("flag", "kind", "protocol", "message"),
    [
        (-1, 1, "centertrack-half", "none of 2 labels counts.*flags -1 … -1.*a flag of 1 or more"),
        (0.62, 1, "centertrack-half", "flags 0.62 … 0.62"),
        (0.62, 1, "motchallenge", "flags 0.62 … 0.62"),
        (1, 7, "motchallenge", "classes 7; expected class 1 with a flag other than 0"),
    ],
)
def test_labels_of_which_none_counts_are_refused(flag: float, kind: int, protocol: str, message: str) -> None:
    truth = _rows([1, 2], [1, 1], [0, 0])
    truth = replace(truth, scores=np.full(2, flag), classes=np.full(2, kind), has_classes=True)
    with pytest.raises(InputError, match=message):
        score({"one": ToScore(truth, truth, range(1, 3))}, protocol)  # type: ignore[arg-type]


def test_a_flag_of_minus_one_counts_in_the_official_protocol_and_other_labels_may_be_left_out() -> None:
    truth = replace(_rows([1, 2], [1, 1], [0, 0]), scores=np.array([-1.0, 0.0]))
    _, overall = score({"one": ToScore(truth, truth, range(1, 3))}, "motchallenge")
    assert overall.gt_dets == 1
