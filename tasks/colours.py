"""Learn colours from followed patches: patches on Ray, kept clip by clip; the result registered as a training is."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from prefect import task

from ssat.clips.roster import load_roster
from ssat.errors import InputError
from ssat.file_names import EMBEDDER_FILE, TRAINING_RESULT
from ssat.frames.manifest import canonical_json
from ssat.once import once, save_result, saved_values
from ssat.patches.clips import VERSION, PatchTable, joined
from ssat.patches.follow import MOVING
from ssat.patches.settings import ColoursSettings, FollowSettings
from ssat.setting_marks import Runtime, without
from ssat.video.untrusted import VideoError
from ssat.workspace import Workspace
from tasks.embedders import register_embedder
from tasks.halt import stop_if_halted
from tasks.mlflow_run import Dataset, mlflow_run
from tasks.progress import progress_bar
from tasks.ray_work import run_bounded, share_cluster

EXPERIMENT = "ssat-train"
INPUT_SIZE = 128
_PICTURED = 48


@dataclass(frozen=True)
class ClipPatches:
    """Input for following the patches of one clip.

    Attributes:
        path: the video file.
        seed: of the clip: equal for equal content, whatever its class id.
        target: where its patches are kept.
    """

    path: Path
    seed: int
    settings: FollowSettings
    target: Path


@dataclass(frozen=True)
class LearnedColours:
    """A finished learning as its result file records it.

    Attributes:
        embedder: the file, relative to the workspace.
        model_version: registered version.
        clips, patches, moving: learned from; `moving` of the patches move against the background.
        without_patches: clips that gave none: still, too short, or nothing could be followed.
        unreadable: clips that are no readable video.
        held_out: scores on held-out clips, without labels; empty if no two held-out patches are seen together.
        reused: it was done before.
    """

    embedder: str
    mlflow_run_id: str
    model_version: str | None
    settings: dict[str, Any]
    data_digest: str
    clips: int
    patches: int
    moving: int
    without_patches: int
    unreadable: int
    held_out: dict[str, float]
    reused: bool = False

    @classmethod
    def load(cls, path: Path) -> LearnedColours:
        """Return the result in a file of a finished learning."""
        return cls(**saved_values(path))


@task(name="learn colours", persist_result=False)
def learn_colours_task(workspace: Workspace, settings: ColoursSettings) -> LearnedColours:
    """Follow patches through the clips, learn from them, record and register; or return what was done before.

    Raises:
        InputError: no clips, or too few patches that can be followed.
        WorkspaceError: another process does the same.
    """
    roster = load_roster(workspace)
    n_train, n_held = _split(roster.num_rows, settings)
    rows = roster.slice(0, n_train + n_held)
    digest = hashlib.sha256("\n".join([VERSION, *rows["sha256"].to_pylist()]).encode()).hexdigest()
    learned = without(settings, Runtime)
    key = hashlib.sha256(canonical_json([VERSION, learned, n_train, digest])).hexdigest()[:16]
    folder = workspace.training / f"colours-{key}"

    def learn() -> LearnedColours:
        paths, digests = rows["path"].to_pylist(), rows["sha256"].to_pylist()
        followed = follow_clips(workspace, paths, digests, settings.follow, settings.workers)
        return _learn_recorded(workspace, settings, folder, followed, n_train, digest)

    return once(folder / TRAINING_RESULT, LearnedColours.load, learn)


def _split(n_clips: int, settings: ColoursSettings) -> tuple[int, int]:
    """Return how many clips to learn from, and how many after them to keep out."""
    n_train = settings.clips if settings.clips is not None else n_clips - settings.held_out_clips
    if n_train < 2 or n_train > n_clips:
        raise InputError(
            f"setting colours.clips: {n_train} of the {n_clips} collected clips, beside {settings.held_out_clips} held "
            "out; expected at least 2. Collect more clips, or lower held_out_clips"
        )
    return n_train, min(settings.held_out_clips, n_clips - n_train)


@dataclass(frozen=True)
class FollowedClips:
    """Patches followed through clips.

    Attributes:
        tables: position among the clips → patches; without unreadable clips.
        unreadable: clips whose file is missing or no readable video.
    """

    tables: dict[int, PatchTable]
    unreadable: int

    def joined(self, start: int, stop: int | None = None) -> PatchTable:
        """Return the patches of the clips at positions `start` to `stop` - 1."""
        return joined([table for at, table in self.tables.items() if start <= at and (stop is None or at < stop)])


def follow_clips(
    workspace: Workspace, paths: Sequence[str], digests: Sequence[str], settings: FollowSettings, workers: int = 0
) -> FollowedClips:
    """Follow patches through clips on Ray; what was followed before is read.

    Args:
        paths: of the clips, as the roster has them.
        digests: SHA-256 of the files.
        settings: which patches, and how long.
        workers: clips at the same time; 0: as many as there are CPUs.
    """
    how = hashlib.sha256(canonical_json([VERSION, settings.model_dump(mode="json")])).hexdigest()[:12]
    kept = workspace.cache / "patches" / how
    kept.mkdir(parents=True, exist_ok=True)
    jobs = [
        ClipPatches(Path(str(path)), int(digest[:8], 16), settings, kept / f"{digest}.npz")
        for path, digest in zip(workspace.located(list(paths)), digests, strict=True)
    ]
    unreadable = _follow_missing(jobs, workers)
    tables = {at: PatchTable.load(job.target) for at, job in enumerate(jobs) if job.path not in unreadable}
    return FollowedClips(tables, len(unreadable))


def _follow_missing(jobs: Sequence[ClipPatches], workers: int) -> set[Path]:
    """Follow patches through the clips that were not processed yet; return the paths that are not readable videos."""
    missing = [job for job in jobs if not job.target.exists()]
    unreadable: set[Path] = set()
    if missing:
        share = share_cluster(len(missing), workers)
        with progress_bar("follow patches, clips", len(missing)) as advance:
            for job, readable in run_bounded(_follow_one, missing, share, lambda running: stop_if_halted()):
                advance()
                if not readable:
                    unreadable.add(job.path)
    return unreadable


def _follow_one(job: ClipPatches, threads: int) -> bool:
    """Follow the patches of one clip on a worker; return whether it is readable. Patches are stored."""
    import cv2

    from ssat.patches.clips import patches_of_clip

    cv2.setNumThreads(threads)
    try:
        table = patches_of_clip(job.path, job.settings, job.seed)
    except (VideoError, FileNotFoundError):
        return False
    table.save(job.target)
    return True


def _learn_recorded(
    workspace: Workspace,
    settings: ColoursSettings,
    folder: Path,
    followed: FollowedClips,
    n_train: int,
    digest: str,
) -> LearnedColours:
    from ssat.embedding.colour_learning import held_out_score, learn_colours
    from ssat.embedding.embedder import Embedder

    train, held_out = followed.joined(0, n_train), followed.joined(n_train)
    moving = int((train.motion[np.unique(train.patch, return_index=True)[1]] >= MOVING).sum()) if len(train) else 0
    without = sum(not len(table) for at, table in followed.tables.items() if at < n_train)
    dataset = Dataset("clips", digest, str(workspace.roster))
    with mlflow_run(workspace, EXPERIMENT, folder.name, settings, dataset=dataset) as reporter:
        with progress_bar("learn colours, views", train.n_patches * settings.views) as advance:
            network = learn_colours(train, settings, advance)
        embedder = Embedder(network, INPUT_SIZE)
        score = held_out_score(embedder, held_out, settings.seed) if held_out.n_patches > 1 else None
        # No number where nothing was compared: JSON, tags and metrics have no "not a number".
        found = {"auc": score.auc, "pairs": float(score.pairs)} if score is not None and np.isfinite(score.auc) else {}
        # The names that trainings record, so that "the latest training" finds them.
        shown = {**settings.model_dump(mode="json"), "architecture": "histogram", "crop": INPUT_SIZE}
        counts = {"clips": n_train, "patches": train.n_patches, "moving": moving, "without_patches": without}
        facts = {"settings": shown, "held_out": found, "data_digest": digest, **counts}
        embedder.facts = facts
        embedder.save(folder / EMBEDDER_FILE)
        reporter.scalars({f"held_out_{name}": value for name, value in found.items()} | counts, 0)
        examples = _pictured(reporter, train, settings, folder)
        reporter.flush()
        run_id = reporter.run_id
        tags = {**found, "data_digest": digest, "embedder_digest": embedder.digest}
        version = register_embedder(run_id, folder / EMBEDDER_FILE, examples, tags)
        result = LearnedColours(
            embedder=workspace.relative(folder / EMBEDDER_FILE),
            mlflow_run_id=run_id,
            model_version=version,
            settings=shown,
            data_digest=digest,
            unreadable=followed.unreadable,
            held_out=found,
            clips=n_train,
            patches=train.n_patches,
            moving=moving,
            without_patches=without,
        )
        save_result(result, folder / TRAINING_RESULT)
    return result


def _pictured(reporter: Any, table: PatchTable, settings: ColoursSettings, folder: Path) -> Any:
    """Log a picture of views as learning sees them; returns four of the size that the embedder takes."""
    from ssat.patches.views import ViewRule, view
    from ssat.report.sheets import crop_sheet

    rng = np.random.default_rng([settings.seed, 3])
    patches = np.linspace(0, table.n_patches - 1, min(_PICTURED // 4, table.n_patches)).astype(int)
    rows = [row for patch in patches for row in rng.choice(np.flatnonzero(table.patch == patch), 4)]
    views = np.stack([view(table, int(row), rng, ViewRule()) for row in rows])
    reporter.file(crop_sheet(views, table.patch[rows].tolist(), folder / "views.png", columns=12), "pictures")
    return np.stack([view(table, int(row), rng, ViewRule(size=(INPUT_SIZE, INPUT_SIZE))) for row in rows[:4]])
