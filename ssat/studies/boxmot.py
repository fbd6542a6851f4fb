"""BoxMOT's trackers on our detections and features, run by the Python of BoxMOT's own environment.

BoxMOT needs other versions of libraries, so `boxmot_worker.py` runs in a process of its own. Request and answer are npz
and JSON files in a temporary folder.
"""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ssat.errors import InputError
from ssat.mot.rows import MotRows
from ssat.studies.settings import BoxmotTracker
from ssat.tracking.baselines.boxes import as_shares

_WORKER = Path(__file__).with_name("boxmot_worker.py")
_FIND_SECONDS = 20.0
# The environment variables that a Python needs; no settings and secrets.
_PASSED_ON = ("PATH", "HOME", "TMPDIR", "LANG", "LD_LIBRARY_PATH", "SYSTEMROOT")


@dataclass(frozen=True)
class BoxmotEnvironment:
    """Path of the Python of an environment with BoxMOT, and BoxMOT's version there."""

    python: Path
    version: str


@dataclass(frozen=True)
class BoxmotRequest:
    """One sequence.

    Attributes:
        frames: numbers of all frames, in order.
        detections: of these frames.
        features: (n, F), a row per detection; None: the tracker uses boxes alone.
        images: path of every frame, for camera motion; None: there are no frames.
        width, height: of the frames, pixels.
        camera_motion: whether a tracker that follows the background does so.
    """

    frames: range
    detections: MotRows
    features: NDArray[np.float32] | None
    images: tuple[Path, ...] | None
    frame_rate: float
    width: int
    height: int
    camera_motion: bool = True


@dataclass(frozen=True)
class BoxmotTracks:
    """Tracked boxes, which are detections.

    Attributes:
        rows: (m,) row of the detection.
        ids: (m,) identities from 1 on.
        cpu_seconds: of association, on one thread, without estimating camera motion.
        camera_seconds: of estimating camera motion.
        no_direction: detections without appearance (their feature is zero), which got one that is equal for all.
    """

    rows: NDArray[np.int64]
    ids: NDArray[np.int64]
    cpu_seconds: float
    camera_seconds: float
    no_direction: int


def find_boxmot(python: str) -> BoxmotEnvironment:
    """Look for BoxMOT in the environment of a Python.

    Raises:
        InputError: no such program, one that is no Python, or an environment without BoxMOT.
    """
    path = Path(python).expanduser().absolute()
    where = f"setting `boxmot_python`: {python}"
    if not path.is_file() or not os.access(path, os.X_OK):
        raise InputError(f"{where}: no such program; expected the python of an environment that has boxmot")
    code = "import importlib.metadata as m; print(m.version('boxmot'))"
    try:
        done = subprocess.run(
            [path, "-I", "-c", code],
            capture_output=True,
            text=True,
            timeout=_FIND_SECONDS,
            env=_environment(),
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise InputError(
            f"{where}: did not answer within {_FIND_SECONDS:g} s; expected a Python interpreter"
        ) from error
    except OSError as error:
        raise InputError(f"{where}: cannot be started ({error.strerror}); expected a Python interpreter") from error
    version = done.stdout.strip()
    if done.returncode or not version:
        if "PackageNotFoundError" in done.stderr:
            raise InputError(
                f"{where}: its environment has no boxmot. Install it there: {python} -m pip install boxmot==25.0.0"
            )
        last = done.stderr.strip().splitlines()[-1:] or ["no answer"]
        raise InputError(f"{where}: did not name boxmot's version ({last[0]}); expected a Python interpreter")
    return BoxmotEnvironment(path, version)


def track_with_boxmot(
    environment: BoxmotEnvironment, tracker: BoxmotTracker, request: BoxmotRequest, timeout_seconds: float
) -> BoxmotTracks:
    """Track one sequence.

    Scores outside 0 to 1 count as 1 for the whole sequence, as BoxMOT's thresholds suppose shares.

    Raises:
        InputError: BoxMOT failed, gave no usable answer or took longer than `timeout_seconds`.
    """
    features, no_direction = request.features, 0
    if features is not None:
        features = features.copy()
        zero = ~features.any(axis=1)
        features[zero] = 1 / np.sqrt(features.shape[1])  # BoxMOT divides by the length
        no_direction = int(zero.sum())
    with tempfile.TemporaryDirectory(prefix="ssat-boxmot-") as name:
        folder = Path(name)
        _write(folder, tracker, request, features)
        where = f"BoxMOT {environment.version}, tracker {tracker}"
        try:
            done = subprocess.run(
                [environment.python, "-I", _WORKER, folder],
                capture_output=True,
                text=True,
                errors="replace",
                timeout=timeout_seconds,
                env=_environment(),
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            raise InputError(
                f"{where}: no answer within {timeout_seconds:g} s for {len(request.frames)} frames; raise setting "
                "`boxmot_timeout_seconds` or leave the tracker out of setting `boxmot_trackers`"
            ) from error
        if done.returncode:
            last = done.stderr.strip().splitlines()[-1:] or [f"exit code {done.returncode}"]
            raise InputError(f"{where}: failed: {last[0]}; expected identities. boxmot 25.0.0 is known to work")
        rows, ids, cpu_seconds, camera_seconds = _read(folder, where, len(request.detections))
    return BoxmotTracks(rows, ids, cpu_seconds, camera_seconds, no_direction)


def _write(folder: Path, tracker: BoxmotTracker, request: BoxmotRequest, features: NDArray[np.float32] | None) -> None:
    detections, frames = request.detections, np.array(request.frames)
    counts = np.searchsorted(detections.frames, frames, "right") - np.searchsorted(detections.frames, frames, "left")
    if counts.sum() != len(detections):
        raise ValueError("detections outside the frames")
    arrays = {"counts": counts, "boxes": detections.boxes, "scores": as_shares(detections.scores)}
    if features is not None:
        arrays["features"] = features
    np.savez(folder / "request.npz", **arrays)  # type: ignore[arg-type]  # numpy's stub takes the names for an option
    content = {
        "tracker": tracker,
        "frame_rate": request.frame_rate,
        "width": request.width,
        "height": request.height,
        "camera_motion": request.camera_motion,
        "images": None if request.images is None else [str(path.absolute()) for path in request.images],
    }
    (folder / "request.json").write_text(json.dumps(content))


def _read(folder: Path, where: str, n_detections: int) -> tuple[NDArray[np.int64], NDArray[np.int64], float, float]:
    try:
        with np.load(folder / "answer.npz", allow_pickle=False) as content:
            rows, ids = content["rows"].astype(np.int64), content["ids"].astype(np.int64)
        answer = json.loads((folder / "answer.json").read_text())
        cpu_seconds, camera_seconds = float(answer["cpu_seconds"]), float(answer["camera_seconds"])
    except (OSError, ValueError, KeyError, TypeError, zipfile.BadZipFile) as error:
        raise InputError(f"{where}: its answer cannot be read ({error}); expected identities of detections") from error
    usable = rows.ndim == 1 and rows.shape == ids.shape and ((rows >= 0) & (rows < n_detections)).all()
    if not usable or len(np.unique(rows)) < len(rows):
        raise InputError(f"{where}: its answer names a detection twice, or one that was not given")
    # Some of its trackers count from 0; in a result file identities begin at 1.
    return rows, ids + max(0, 1 - int(ids.min(initial=1))), cpu_seconds, camera_seconds


def _environment() -> dict[str, str]:
    return {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
