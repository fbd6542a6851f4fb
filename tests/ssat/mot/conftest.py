"""TrackEval as the reference, and sequences to score."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest

from ssat.mot.rows import MotRows
from ssat.mot.scores import ToScore

# Our key → metric and field of TrackEval, where they are the same quantity.
_FIELDS = {
    "mota": ("CLEAR", "MOTA"),
    "motp": ("CLEAR", "MOTP"),
    "idf1": ("Identity", "IDF1"),
    "idp": ("Identity", "IDP"),
    "idr": ("Identity", "IDR"),
    "mt": ("CLEAR", "MT"),
    "pt": ("CLEAR", "PT"),
    "ml": ("CLEAR", "ML"),
    "fp": ("CLEAR", "CLR_FP"),
    "fn": ("CLEAR", "CLR_FN"),
    "idsw": ("CLEAR", "IDSW"),
    "frag": ("CLEAR", "Frag"),
    "hota": ("HOTA", "HOTA"),
    "deta": ("HOTA", "DetA"),
    "assa": ("HOTA", "AssA"),
}
Reference = Callable[[Path, Mapping[str, ToScore]], dict[str, dict[str, float]]]


@pytest.fixture(scope="session")
def trackeval_scores() -> Reference:
    """Sequences → our keys → TrackEval's value, under their names and "overall"; files are written into a folder."""
    trackeval = pytest.importorskip("trackeval", reason="the reference evaluation, in the extra dev")

    def evaluate(folder: Path, sequences: Mapping[str, ToScore]) -> dict[str, dict[str, float]]:
        kitti = any(one.rules == "kitti" for one in sequences.values())
        with contextlib.redirect_stdout(io.StringIO()):
            dataset = (_kitti if kitti else _mot)(trackeval, folder, sequences)
            metrics = {
                name: getattr(trackeval.metrics, name)({"PRINT_CONFIG": False}) for name in ("CLEAR", "Identity")
            }
            metrics["HOTA"] = trackeval.metrics.HOTA()
            found: dict[str, dict[str, dict[str, object]]] = {name: {} for name in metrics}
            boxes, identities = {}, {}
            for name in sequences:
                raw = dataset.get_raw_seq_data("tracker", name)
                data = dataset.get_preprocessed_seq_data(raw, "pedestrian")
                boxes[name], identities[name] = data["num_gt_dets"], data["num_gt_ids"]
                for metric, one in metrics.items():
                    found[metric][name] = one.eval_sequence(data)
            for metric, one in metrics.items():
                found[metric]["overall"] = one.combine_sequences(dict(found[metric]))
        boxes["overall"], identities["overall"] = sum(boxes.values()), sum(identities.values())
        return {
            name: {
                **{key: float(np.mean(found[metric][name][field])) for key, (metric, field) in _FIELDS.items()},
                "gt_dets": boxes[name],
                "gt_ids": identities[name],
            }
            for name in boxes
        }

    return evaluate


def _mot(trackeval: object, folder: Path, sequences: Mapping[str, ToScore]) -> object:
    (benchmark,) = {
        "MOT20" if one.rules == "mot20" else "MOT17" if one.truth.has_classes else "MOT15" for one in sequences.values()
    }
    for name, one in sequences.items():
        truth = one.truth.within(one.frames)
        write_rows(folder / "gt" / name / "gt" / "gt.txt", truth, truth.classes)
        write_rows(folder / "results" / "tracker" / "data" / f"{name}.txt", one.results.within(one.frames))
    return trackeval.datasets.MotChallenge2DBox(  # type: ignore[attr-defined]
        {
            "GT_FOLDER": str(folder / "gt"),
            "TRACKERS_FOLDER": str(folder / "results"),
            "SKIP_SPLIT_FOL": True,
            "BENCHMARK": benchmark,
            "SEQ_INFO": {name: one.frames[-1] for name, one in sequences.items()},
            "PRINT_CONFIG": False,
        }
    )


def _kitti(trackeval: object, folder: Path, sequences: Mapping[str, ToScore]) -> object:
    """Labels lie in the folder already, in KITTI's own form: their reader is tested as well."""
    lines = [f"{name} empty 000000 {one.frames[-1]:06d}" for name, one in sequences.items()]
    (folder / "evaluate_tracking.seqmap.training").write_text("\n".join(lines) + "\n")
    for name, one in sequences.items():
        path = folder / "results" / "tracker" / "data" / f"{name}.txt"
        path.parent.mkdir(parents=True, exist_ok=True)
        rows = zip(one.results.frames - 1, one.results.ids, one.results.boxes.tolist(), strict=True)
        path.write_text(
            "".join(
                f"{frame} {identity} Pedestrian 0 0 0 {' '.join(map(repr, box))} -1 -1 -1 -1 -1 -1 -1 1\n"
                for frame, identity, box in rows
            )
        )
    return trackeval.datasets.Kitti2DBox(  # type: ignore[attr-defined]
        {
            "GT_FOLDER": str(folder),
            "TRACKERS_FOLDER": str(folder / "results"),
            "SPLIT_TO_EVAL": "training",
            "CLASSES_TO_EVAL": ["pedestrian"],
            "PRINT_CONFIG": False,
        }
    )


def write_rows(path: Path, rows: MotRows, classes: np.ndarray | None = None) -> None:
    """MOTChallenge text with every digit, so that both sides read the same numbers."""
    path.parent.mkdir(parents=True, exist_ok=True)
    sizes = rows.boxes[:, 2:] - rows.boxes[:, :2]
    with path.open("w") as file:
        for index, (frame, identity) in enumerate(zip(rows.frames, rows.ids, strict=True)):
            left, top = rows.boxes[index, :2].tolist()
            width, height = sizes[index].tolist()
            end = "-1,-1,-1" if classes is None else f"{classes[index]},1"
            file.write(f"{frame},{identity},{left!r},{top!r},{width!r},{height!r},{rows.scores[index]:g},{end}\n")
