"""Everything the demo renders, written to a folder once: clips with their list, and MOT sequences."""

from __future__ import annotations

import csv
import hashlib
import json
from collections.abc import Callable, Iterable
from pathlib import Path

from ssat.demo.clips import FPS, render_clip, write_video
from ssat.demo.sequences import write_sequence
from ssat.demo.settings import DemoSettings
from ssat.errors import InputError
from ssat.file_names import SEQUENCE_INFO
from ssat.workspace import committed

SEQUENCES = ("DEMO-01", "DEMO-02")
_VERSION = 1  # of the rendering: raise it whenever the same settings give other pictures
_SHAPING = ("seed", "clip_seconds", "places", "frames", "figures")


def world_key(settings: DemoSettings) -> str:
    """Eight hexadecimal digits that change whenever the pictures would."""
    facts = json.dumps([_VERSION, [getattr(settings, name) for name in _SHAPING]])
    return hashlib.sha256(facts.encode()).hexdigest()[:8]


def world_folder(root: Path, settings: DemoSettings) -> Path:
    """Return where this world lies below the demo's folder.

    Raises:
        InputError: another world was collected there: its clips are in the roster and would be learned from.
    """
    folder = root / "world" / world_key(settings)
    others = sorted(path.name for path in folder.parent.glob("*") if path.is_dir() and path != folder)
    if others:
        raise InputError(
            f"{root}: holds the demo of another world ({', '.join(others)}: other seed, size or version); "
            "remove that folder, or give another one with setting `workspace`"
        )
    return folder


def clip_id(settings: DemoSettings, clip: int) -> str:
    """Return the clip's id in the list and its file name; the ids of every world are different."""
    return f"demo-{world_key(settings)}-{clip:03d}"


def write_clips(
    folder: Path,
    settings: DemoSettings,
    *,
    only: Iterable[int] | None = None,
    advance: Callable[[int], None] = lambda done: None,
) -> Path:
    """Render the clips that `folder` lacks, and their list in the form of Kinetics; returns the list.

    Args:
        folder: where the mp4 files and clips.csv go.
        settings: of the world.
        only: clips to render, by number; all by default. The list names all in any case.
        advance: called with 1 after every clip.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for clip in range(settings.clips) if only is None else only:
        path = folder / f"{clip_id(settings, clip)}.mp4"
        if not path.exists():
            write_video(path, render_clip(settings.seed, clip, settings.clip_seconds, settings.places), FPS)
        advance(1)
    listed = folder / "clips.csv"
    with committed(listed) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["youtube_id", "time_start", "time_end", "split"])
        for clip in range(settings.clips):
            writer.writerow([clip_id(settings, clip), 0, settings.clip_seconds, "demo"])
    return listed


def write_sequences(
    folder: Path, settings: DemoSettings, *, advance: Callable[[int], None] = lambda done: None
) -> Path:
    """Render the MOT sequences that `folder` lacks; returns `folder`. A sequence is there when its seqinfo.ini is."""
    for number, name in enumerate(SEQUENCES):
        if not (folder / name / SEQUENCE_INFO).exists():
            write_sequence(folder, name, settings.seed, number, settings.frames, settings.figures)
        advance(1)
    return folder
