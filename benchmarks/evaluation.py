"""Claim: CLEAR, identity and HOTA of 5,316 frames take at most 4 CPU-seconds, reading the files included.

    python benchmarks/evaluation.py [--frames 5316] [--leave-out py-motmetrics]

The labels are real: both TUD sequences (from the motmetrics wheel) and, where SSAT_REAL_DATA names the evaluation data,
the validation halves of MOT17, repeated under other names to the length of MOT17's training set. The results are those
labels, shaken: boxes moved, one in six missed, one in eight invented, tracks that change hands. Beside ours, on the
same files and in one run: TrackEval, `trackers` (its evaluation, which has no preprocessing), and py-motmetrics, which
has no HOTA. Every field of every sequence must equal TrackEval's.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import logging
import os
import sys
import tempfile
import time
from collections.abc import Callable
from importlib.resources import files
from pathlib import Path
from typing import Any

for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ.setdefault(name, "1")

import numpy as np  # noqa: E402 - after the number of threads is set
from support.report import Claim, report  # noqa: E402 - after the number of threads is set

from ssat.mot.protocols import Protocol  # noqa: E402 - after the number of threads is set
from ssat.mot.rows import MotRows, read_ground_truth, read_results  # noqa: E402 - likewise
from ssat.mot.score_values import Scores  # noqa: E402 - likewise
from ssat.mot.scores import ToScore, score  # noqa: E402 - likewise

_DATA = Path(os.environ.get("SSAT_REAL_DATA", Path(__file__).parents[2] / "shared" / "data"))
_FIELDS = {
    "CLEAR": {"mota": "MOTA", "motp": "MOTP", "mt": "MT", "pt": "PT", "ml": "ML", "fp": "CLR_FP", "fn": "CLR_FN",
              "idsw": "IDSW", "frag": "Frag"},
    "Identity": {"idf1": "IDF1", "idp": "IDP", "idr": "IDR"},
    "HOTA": {"hota": "HOTA", "deta": "DetA", "assa": "AssA"},
}  # fmt: skip


def labels() -> list[MotRows]:
    """Real labels, each sequence from frame 1."""
    wheel = Path(str(files("motmetrics"))) / "data"
    paths = [wheel / name / "gt.txt" for name in ("TUD-Campus", "TUD-Stadtmitte")]
    paths += sorted((_DATA / "mot" / "MOT17" / "train").glob("*/gt/gt.txt"))
    return [_from_first(read_ground_truth(path)) for path in paths]


def _from_first(rows: MotRows) -> MotRows:
    return MotRows(rows.frames - rows.frames[0] + 1, rows.ids, rows.boxes, rows.scores, rows.classes, True)


def shaken(truth: MotRows, rng: np.random.Generator) -> MotRows:
    """A tracker's result that might have come of these labels."""
    rows = truth.select(rng.random(len(truth)) > 1 / 6)
    rows = rows.select((rows.classes == 1) | (rng.random(len(rows)) < 0.5))
    sizes = np.tile(rows.boxes[:, 2:] - rows.boxes[:, :2], 2)
    boxes = rows.boxes + sizes * rng.normal(0, 0.05, sizes.shape)
    # About every fifty frames one track gets a new identity.
    ids = rows.ids * 100 + (rows.frames + 37 * rows.ids) // rng.integers(30, 70)
    invented = rng.random(len(rows)) < 1 / 8
    moved = boxes[invented] + rng.uniform(-300, 300, (invented.sum(), 1))
    frames = np.concatenate([rows.frames, rows.frames[invented]])
    order = frames.argsort(kind="stable")
    n = len(frames)
    ids = np.concatenate([ids, 10**6 + ids[invented]])[order]
    return MotRows(frames[order], ids, np.concatenate([boxes, moved])[order], np.ones(n), np.ones(n, np.int64))


def write(folder: Path, n_frames: int) -> dict[str, int]:
    """Ground truth and results as MOT17 lays them out; name → length."""
    rng, lengths = np.random.default_rng(0), {}
    originals = labels()
    while (left := n_frames - sum(lengths.values())) > 0:
        truth = originals[len(lengths) % len(originals)]
        truth = truth.within(range(1, left + 1))
        name = f"MOT17-{len(lengths):02d}"
        lengths[name] = int(truth.frames[-1])
        _write(folder / "gt" / name / "gt" / "gt.txt", truth, truth.classes)
        (folder / "gt" / name / "seqinfo.ini").write_text(f"[Sequence]\nname={name}\nseqLength={lengths[name]}\n")
        _write(folder / "results" / "tracker" / "data" / f"{name}.txt", shaken(truth, rng))
    return lengths


def _write(path: Path, rows: MotRows, classes: np.ndarray | None = None) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    boxes = np.hstack([rows.boxes[:, :2], rows.boxes[:, 2:] - rows.boxes[:, :2]])
    ends = np.full(len(rows), "-1,-1,-1") if classes is None else [f"{value},1" for value in classes]
    with path.open("w") as file:
        for frame, identity, box, flag, end in zip(rows.frames, rows.ids, boxes, rows.scores, ends, strict=True):
            file.write(f"{frame},{identity},{','.join(f'{value:.3f}' for value in box)},{flag:g},{end}\n")


def ours(folder: Path, lengths: dict[str, int], protocol: Protocol) -> dict[str, Scores]:
    sequences = {
        name: ToScore(
            read_ground_truth(folder / "gt" / name / "gt" / "gt.txt", length),
            read_results(folder / "results" / "tracker" / "data" / f"{name}.txt", length),
            range(1, length + 1),
        )
        for name, length in lengths.items()
    }
    scores, overall = score(sequences, protocol)
    return {**scores, "overall": overall}


def by_trackeval(folder: Path, lengths: dict[str, int]) -> dict[str, dict[str, dict[str, Any]]]:
    """Metric → sequence → fields."""
    import trackeval

    with contextlib.redirect_stdout(io.StringIO()):
        dataset = trackeval.datasets.MotChallenge2DBox(
            {
                "GT_FOLDER": str(folder / "gt"),
                "TRACKERS_FOLDER": str(folder / "results"),
                "SKIP_SPLIT_FOL": True,
                "SEQ_INFO": dict(lengths),
            }
        )
        metrics = {name: getattr(trackeval.metrics, name)({"PRINT_CONFIG": False}) for name in _FIELDS}
        found: dict[str, dict[str, dict[str, Any]]] = {name: {} for name in metrics}
        for name in lengths:
            data = dataset.get_preprocessed_seq_data(dataset.get_raw_seq_data("tracker", name), "pedestrian")
            for metric, metric_class in metrics.items():
                found[metric][name] = metric_class.eval_sequence(data)
        for metric, metric_class in metrics.items():
            found[metric]["overall"] = metric_class.combine_sequences(dict(found[metric]))
    return found


def by_trackers(folder: Path, lengths: dict[str, int]) -> None:
    from trackers.eval import evaluate_mot_sequences

    evaluate_mot_sequences(
        folder / "gt", folder / "results" / "tracker" / "data", metrics=["CLEAR", "HOTA", "Identity"]
    )


def by_motmetrics(folder: Path, lengths: dict[str, int]) -> None:
    """With its own preprocessing; it still calls a function that NumPy 2 has no more."""
    import motmetrics

    if not hasattr(np, "asfarray"):
        np.asfarray = lambda values: np.asarray(values, float)  # type: ignore[attr-defined]
    logging.disable(logging.INFO)
    accumulators = []
    for name in lengths:
        truth = motmetrics.io.loadtxt(folder / "gt" / name / "gt" / "gt.txt", fmt="mot16")
        found = motmetrics.io.loadtxt(folder / "results" / "tracker" / "data" / f"{name}.txt", fmt="mot16")
        ini = str(folder / "gt" / name / "seqinfo.ini")
        accumulators.append(motmetrics.utils.CLEAR_MOT_M(truth, found, ini)[0])
    motmetrics.metrics.create().compute_many(
        accumulators, metrics=motmetrics.metrics.motchallenge_metrics, generate_overall=True
    )


def cpu_seconds(work: Callable[[], Any]) -> tuple[float, Any]:
    began = time.process_time()
    answer = work()
    return time.process_time() - began, answer


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--frames", type=int, default=5316)
    parser.add_argument("--leave-out", action="append", default=[], help="a peer, by its name in the table")
    options = parser.parse_args()
    frames = options.frames
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        lengths = write(folder / "all", frames)
        small = write(folder / "small", 80)
        peers: dict[str, Callable[[Path, dict[str, int]], Any]] = {
            "ours, motchallenge": lambda *at: ours(*at, protocol="motchallenge"),
            "ours, centertrack-half": lambda *at: ours(*at, protocol="centertrack-half"),
            "TrackEval": by_trackeval,
            "trackers": by_trackers,
            "py-motmetrics": by_motmetrics,
        }
        seconds, answers = {}, {}
        for name, work in peers.items():
            if name in options.leave_out:
                continue
            try:
                work(folder / "small", small)  # imports are not counted
            except ImportError as error:
                print(f"{name}: left out ({error})", file=sys.stderr)
                continue
            seconds[name], answers[name] = cpu_seconds(lambda work=work: work(folder / "all", lengths))
        scores = answers["ours, motchallenge"]
        check_same(scores, answers["TrackEval"])
    rows = [
        {
            "evaluation": name,
            "CPU-seconds": round(value, 2),
            "times ours": round(value / seconds["ours, motchallenge"], 1),
        }
        for name, value in seconds.items()
    ]
    report(
        "evaluation",
        f"{len(lengths)} sequences, {frames} frames, {scores['overall'].gt_dets} labelled boxes of pedestrians; files "
        "read, CLEAR, identity and HOTA computed (py-motmetrics: no HOTA), one process; all fields equal TrackEval's",
        rows,
        [
            Claim("CPU-seconds of ours by motchallenge", seconds["ours, motchallenge"], at_most=4),
            Claim("CPU-seconds of TrackEval over ours", seconds["TrackEval"] / seconds["ours, motchallenge"], 2),
        ],
    )


def check_same(ours_found: dict[str, Scores], reference: dict[str, dict[str, dict[str, Any]]]) -> None:
    """Every field of every sequence, or the claim about time means nothing."""
    for name, scores in ours_found.items():
        for metric, fields in _FIELDS.items():
            for key, field in fields.items():
                found, expected = getattr(scores, key), float(np.mean(reference[metric][name][field]))
                assert abs(found - expected) <= 1e-12 * max(1, abs(expected)), f"{name}: {key} {found} {expected}"


if __name__ == "__main__":
    main()
