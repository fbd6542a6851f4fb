"""The report of a climb, and the disk space that it takes."""

from __future__ import annotations

import pyarrow.compute as pc
from prefect.artifacts import create_markdown_artifact

from ssat.clips import status
from ssat.embedding.settings import TrainSettings
from ssat.errors import InputError
from ssat.frames.manifest import Manifest
from ssat.frames.store import FrameStore
from ssat.scale.ladder import ClimbResult, Ladder, Rung
from ssat.workspace import Workspace


def stored_bytes(workspace: Workspace) -> int:
    """Return bytes that the collected clips and the frame store take, by their own tables."""
    latest = status.latest(status.load_status(workspace))
    clips = pc.sum(latest["bytes"].filter(pc.equal(latest["status"], status.OK))).as_py() or 0
    try:
        manifest = Manifest.load(workspace.frames)
    except InputError:  # nothing decoded yet
        return int(clips)
    return int(clips) + sum(entry.bytes for entry in manifest.shards)


def missing_held_out(workspace: Workspace, rung: int, held_out: int) -> int:
    """Return how many of `held_out` clips after the first `rung` class ids the store lacks."""
    class_ids = FrameStore.open(workspace.frames).class_ids
    return max(0, held_out - int((class_ids >= rung).sum()))


def images_of(workspace: Workspace, train: TrainSettings) -> int:
    """Return the images that a training on the first `train.clips` class ids of the store reads over all epochs."""
    store = FrameStore.open(workspace.frames)
    frames = [
        count for class_id, count in enumerate(store.frames_of) if class_id < (train.data.clips or len(store.frames_of))
    ]
    most = train.data.frames_per_clip
    return train.schedule.epochs * sum(min(int(count), most) if most else int(count) for count in frames)


def report_climb(result: ClimbResult, ladder: Ladder) -> None:
    """Create the Prefect artifact of the ladder, this run and why it stopped."""
    create_markdown_artifact(key="scale", markdown=climb_page(result, ladder), description=result.summary)


def climb_page(result: ClimbResult, ladder: Ladder) -> str:
    """Return the same as Markdown."""
    lines = [result.summary, "", "| clips | classes | IDF1 | MOTA | identity switches | minutes | promoted | why |"]
    lines += ["|---|---|---|---|---|---|---|---|"]
    lines += [_row(rung) for rung in ladder.rungs]
    if not ladder.rungs:
        lines.append("| – | – | – | – | – | – | – | no rung is reached yet |")
    return "\n".join(lines)


def _row(rung: Rung) -> str:
    scores = rung.overall
    cells = [
        f"{rung.clips:,}",
        f"{rung.classes:,}",
        f"{100 * scores['idf1']:.1f}",
        f"{100 * scores['mota']:.1f}",
        str(scores["idsw"]),
        f"{sum(rung.minutes.values()):.1f}",
        "yes" if rung.promoted else "no",
        rung.verdict.replace("|", "/"),
    ]
    return "| " + " | ".join(cells) + " |"
