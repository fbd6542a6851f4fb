"""The instances table of a training: patches followed through the clips on Ray, kept clip by clip."""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ssat.clips.roster import load_roster
from ssat.embedding.settings import TrainSettings
from ssat.errors import InputError
from ssat.frames.instances import ClipInstances, InstanceTable, write_instances
from ssat.frames.manifest import canonical_json
from ssat.frames.store import FrameStore
from ssat.locks import writing
from ssat.patches.boxes import VERSION, FollowedBoxes, boxes_of_clip
from ssat.patches.settings import FollowSettings
from ssat.remote import AnyPath
from ssat.video.untrusted import VideoError
from ssat.workspace import Workspace, committed
from tasks.halt import stop_if_halted
from tasks.progress import progress_bar
from tasks.ray_work import run_bounded, share_cluster

# Settings of following that no box depends on: all boxes of the kept frames are in the table.
_UNUSED = {"boxes"}


@dataclass(frozen=True)
class InstanceCounts:
    """Content of a table, for reports.

    Attributes:
        clips: clips of the frame store.
        without: of them without an instance: still, too short, or nothing could be followed.
        unreadable: of them whose file is missing, changed or no readable video.
        instances, moving: classes; `moving` of them move against the background.
        boxes: rows.
    """

    clips: int
    without: int
    unreadable: int
    instances: int
    moving: int
    boxes: int

    @classmethod
    def of(cls, table: InstanceTable) -> InstanceCounts:
        """Return the counts of a table."""
        columns = {name: table.clips[name].to_numpy() for name in ("classes", "moving", "boxes")}
        unreadable = sum(status != "ok" for status in table.clips["status"].to_pylist())
        return cls(
            clips=table.clips.num_rows,
            without=int((columns["classes"] == 0).sum()) - unreadable,
            unreadable=unreadable,
            instances=int(columns["classes"].sum()),
            moving=int(columns["moving"].sum()),
            boxes=int(columns["boxes"].sum()),
        )


@dataclass(frozen=True)
class _Clip:
    """A clip of the frame store; `seed` is equal for equal content, whatever its class id."""

    class_id: int
    clip_id: str
    sha256: str
    stored: int
    path: AnyPath | None
    settings: FollowSettings
    stride: int
    target: Path

    @property
    def seed(self) -> int:
        return int(self.sha256[:8], 16)


def instances_of(workspace: Workspace, settings: TrainSettings, store: FrameStore) -> InstanceTable | None:
    """Return the instances table that the settings ask for, made where it is missing; None for kind clip.

    Needs a connected Ray cluster where clips were not followed before.

    Raises:
        InputError: no roster, or a clip that changed since its frames were stored.
        WorkspaceError: another process makes the same table.
    """
    kind = settings.classes.kind
    if kind == "clip":
        return None
    follow = FollowSettings(per_clip=settings.classes.patches_per_clip)
    recipe = {"version": VERSION, "frame_stride": store.frame_stride, **follow.model_dump(mode="json", exclude=_UNUSED)}
    name = f"instances-{kind}-{hashlib.sha256(canonical_json([kind, recipe])).hexdigest()[:12]}"
    folder = store.folder / name
    shards = _clips(workspace, store, follow, recipe)
    if (table := _finished(folder, [_key(recipe, clips, set()) for clips in shards])) is not None:
        return table
    with writing(workspace.scratch / name, "instances table"):
        unreadable = _follow_missing([clip for clips in shards for clip in clips])
        parts = [
            (_key(recipe, clips, unreadable), [_instances(clip, unreadable) for clip in clips]) for clips in shards
        ]
        write_instances(folder, kind, recipe, parts)
    return InstanceTable.open(folder)


def _finished(folder: AnyPath, keys: Sequence[str]) -> InstanceTable | None:
    try:
        table = InstanceTable.open(folder)
    except InputError:
        return None
    return table if [part.key for part in table.manifest.parts] == list(keys) else None


def _clips(
    workspace: Workspace, store: FrameStore, follow: FollowSettings, recipe: dict[str, Any]
) -> list[list[_Clip]]:
    """Return the clips with frames, by the shards of the store."""
    kept = workspace.cache / "instances" / hashlib.sha256(canonical_json(recipe)).hexdigest()[:12]
    kept.mkdir(parents=True, exist_ok=True)
    roster = load_roster(workspace)
    paths = dict(zip(roster["rank"].to_pylist(), workspace.located(roster["path"].to_pylist()), strict=True))
    known = dict(zip(roster["rank"].to_pylist(), roster["sha256"].to_pylist(), strict=True))
    shards: list[list[_Clip]] = [[] for _ in store.manifest.shards]
    position = {entry.index: at for at, entry in enumerate(store.manifest.shards)}
    for row in store.clips.select(["rank", "clip_id", "shard", "n_frames", "source_sha256"]).to_pylist():
        if not row["n_frames"]:
            continue
        class_id, digest = row["rank"], row["source_sha256"]
        if class_id in known and known[class_id] != digest:
            raise InputError(
                f"{workspace.roster}: clip {row['clip_id']} changed since its frames were stored; expected the clip of "
                "the frame store. Run `ssat decode` again"
            )
        target = kept / f"{digest}-{row['n_frames']}.npz"
        clip = _Clip(
            class_id, row["clip_id"], digest, row["n_frames"], paths.get(class_id), follow, store.frame_stride, target
        )
        shards[position[row["shard"]]].append(clip)
    return shards


def _key(recipe: dict[str, Any], clips: Sequence[_Clip], unreadable: set[int]) -> str:
    """Return the key of a part; a part with unreadable clips is not finished, so that they are tried again."""
    rows = [[clip.class_id, clip.clip_id, clip.sha256, clip.stored, clip.class_id in unreadable] for clip in clips]
    return hashlib.sha256(canonical_json([recipe, rows])).hexdigest()[:16]


def _follow_missing(clips: Sequence[_Clip]) -> set[int]:
    """Follow patches through the clips that were not processed yet; return the class ids of unreadable ones."""
    missing = [clip for clip in clips if not clip.target.exists()]
    unreadable: set[int] = set()
    if missing:
        share = share_cluster(len(missing))
        with progress_bar("follow patches, clips", len(missing)) as advance:
            for clip, readable in run_bounded(_follow_one, missing, share, lambda running: stop_if_halted()):
                advance()
                if not readable:
                    unreadable.add(clip.class_id)
    return unreadable


def _follow_one(clip: _Clip, threads: int) -> bool:
    """Follow the patches of one clip on a worker; return whether it is readable. Patches are stored."""
    import cv2

    cv2.setNumThreads(threads)
    try:
        if clip.path is None:
            return False
        with tempfile.TemporaryDirectory(prefix="ssat-clip-") as folder:
            path = clip.path
            if not isinstance(path, Path):
                copy = Path(folder) / "clip.mp4"
                path.download(copy)
                path = copy
            if not path.is_file():
                return False
            found = boxes_of_clip(path, clip.settings, clip.seed, clip.stride, clip.stored)
    except (VideoError, FileNotFoundError):
        return False
    with committed(clip.target) as temporary:
        found.save(temporary)
    return True


def _instances(clip: _Clip, unreadable: set[int]) -> ClipInstances:
    if clip.class_id in unreadable:
        nothing = np.empty(0, np.int64)
        return ClipInstances(clip.class_id, clip.clip_id, nothing, nothing, np.empty((0, 4)), 0, readable=False)
    found = FollowedBoxes.load(clip.target)
    return ClipInstances(clip.class_id, clip.clip_id, found.number, found.frame_index, found.boxes, found.moving)
