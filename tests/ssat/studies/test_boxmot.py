"""BoxMOT in an environment of its own, where there is one, and the errors where there is none."""

import os
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from ssat.errors import InputError
from ssat.mot.rows import MotRows
from ssat.studies.boxmot import BoxmotEnvironment, BoxmotRequest, find_boxmot, track_with_boxmot
from ssat.studies.settings import BOXMOT, BoxmotTracker, TrackersStudySettings

pytestmark = pytest.mark.slow

_PEERS = Path(__file__).parents[3] / "benchmarks" / ".peers"


@pytest.fixture
def boxmot() -> BoxmotEnvironment:
    """BoxMOT of `make bench-track`, or of the Python that SSAT_BOXMOT_PYTHON names."""
    python = Path(os.environ.get("SSAT_BOXMOT_PYTHON", _PEERS / "boxmot" / "bin" / "python"))
    if not python.is_file():
        pytest.skip(f"no BoxMOT at {python}: `make bench-track` installs it, SSAT_BOXMOT_PYTHON names another")
    return find_boxmot(str(python))


def crossing(n_frames: int = 40, score: float = 0.9) -> BoxmotRequest:
    """Two people who walk past each other without touching; the second is not detected in frame 20."""
    rows, features = [], []
    for frame in range(1, n_frames + 1):
        for person, (x, y) in enumerate([(100 + 6 * frame, 50.0), (400 - 6 * frame, 250.0)]):
            if (frame, person) != (20, 1):
                rows.append((frame, x, y))
                features.append(np.eye(8)[person])
    frames, x, y = (np.array(column, float) for column in zip(*rows, strict=True))
    n = len(rows)
    boxes = np.column_stack((x, y, x + 40, y + 100))
    table = MotRows(frames.astype(np.int64), np.full(n, -1), boxes, np.full(n, score), np.ones(n, np.int64))
    return BoxmotRequest(range(1, n_frames + 1), table, np.array(features, np.float32), None, 30.0, 640, 480)


@pytest.mark.parametrize("tracker", BOXMOT)
def test_people_keep_their_identities(tracker: BoxmotTracker, boxmot: BoxmotEnvironment) -> None:
    request = crossing()
    tracks = track_with_boxmot(boxmot, tracker, request, 120.0)
    upper = request.detections.boxes[tracks.rows, 1] < 100
    assert len(np.unique(tracks.ids[upper])) == len(np.unique(tracks.ids[~upper])) == 1
    assert len(np.unique(tracks.ids)) == 2
    assert tracks.ids.min() >= 1
    assert len(tracks.rows) >= 79 - 8
    assert (np.diff(request.detections.frames[tracks.rows]) >= 0).all()
    assert 0 < tracks.cpu_seconds < 60
    assert tracks.no_direction == 0


@pytest.mark.parametrize("tracker", [name for name, (_, appearance) in BOXMOT.items() if appearance])
def test_frames_are_not_read_without_camera_motion(
    tracker: BoxmotTracker, boxmot: BoxmotEnvironment, tmp_path: Path
) -> None:
    request = replace(crossing(), images=(tmp_path / "none.jpg",) * 40)
    with pytest.raises(InputError, match=r"none\.jpg: not a readable image"):
        track_with_boxmot(boxmot, tracker, request, 120.0)
    tracks = track_with_boxmot(boxmot, tracker, replace(request, camera_motion=False), 120.0)
    assert len(np.unique(tracks.ids)) == 2
    assert tracks.camera_seconds == 0


def test_scores_on_another_scale_and_features_without_direction(boxmot: BoxmotEnvironment) -> None:
    request = crossing(score=35.0)
    assert request.features is not None
    request.features[3] = 0
    tracks = track_with_boxmot(boxmot, "botsort", request, 120.0)
    assert tracks.no_direction == 1
    assert len(np.unique(tracks.ids)) == 2
    assert not request.features[3].any()


def test_a_python_that_cannot_be_used_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"boxmot_python`: no/python: no such program; expected the python"):
        find_boxmot("no/python")
    with pytest.raises(InputError, match=r"has no boxmot. Install it there: .* -m pip install boxmot==25.0.0"):
        find_boxmot(sys.executable)
    with pytest.raises(InputError, match="did not name boxmot's version"):
        find_boxmot("/bin/true")
    text = tmp_path / "python"
    text.write_text("not a program")
    text.chmod(0o755)
    with pytest.raises(InputError, match=r"cannot be started \(Exec format error\)"):
        find_boxmot(str(text))


def test_what_fails_or_takes_too_long_ends_with_an_error(tmp_path: Path) -> None:
    without = BoxmotEnvironment(Path(sys.executable), "25.0.0")
    with pytest.raises(InputError, match=r"tracker ocsort: failed: ModuleNotFoundError: No module named 'boxmot'"):
        track_with_boxmot(without, "ocsort", crossing(), 60.0)
    slow = tmp_path / "python"
    slow.write_text("#!/bin/sh\nexec sleep 30\n")
    slow.chmod(0o755)
    with pytest.raises(InputError, match=r"no answer within 0.5 s for 40 frames; raise setting `boxmot_timeout"):
        track_with_boxmot(BoxmotEnvironment(slow, "25.0.0"), "ocsort", crossing(), 0.5)


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("pass", "its answer cannot be read"),
        ("np.savez(f + '/answer.npz', rows=np.array([0, 0]), ids=np.array([1, 2]))", "names a detection twice"),
        ("np.savez(f + '/answer.npz', rows=np.array([79]), ids=np.array([1]))", "one that was not given"),
        (
            "np.savez(f + '/answer.npz', rows=np.array([{}], dtype=object), ids=np.array([1]))",
            "cannot be read .*allow_pickle=False",
        ),
    ],
)
def test_an_answer_that_is_none_is_refused(code: str, words: str, tmp_path: Path) -> None:
    program = tmp_path / "answer.py"
    told = "open(f + '/answer.json', 'w').write('{\"cpu_seconds\": 1, \"camera_seconds\": 0}')"
    program.write_text(f"import sys\nimport numpy as np\nf = sys.argv[-1]\n{told}\n{code}\n")
    python = tmp_path / "python"
    python.write_text(f'#!/bin/sh\nexec "{sys.executable}" "{program}" "$@"\n')
    python.chmod(0o755)
    with pytest.raises(InputError, match=words):
        track_with_boxmot(BoxmotEnvironment(python, "25.0.0"), "ocsort", crossing(), 60.0)


def test_which_of_the_compared_trackers_look_at_appearance() -> None:
    boxes = {"trackers": ("box", "strong-box"), "boxmot_trackers": ("bytetrack", "ocsort")}
    assert not TrackersStudySettings(**boxes, boxmot_python="python").needs_appearance
    assert not TrackersStudySettings(trackers=("box",)).needs_embedder
    assert TrackersStudySettings(trackers=("box",), boxmot_python="python").needs_embedder
    assert TrackersStudySettings(trackers=("strong",)).needs_embedder
