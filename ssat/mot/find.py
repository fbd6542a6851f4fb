"""Find the sequences of a data set: MOTChallenge, KITTI tracking, or videos with labels beside them."""

from __future__ import annotations

import fnmatch
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Literal

from ssat.clips.folders import VIDEO_SUFFIXES
from ssat.errors import InputError
from ssat.file_names import DETECTIONS, LABELS, SEQUENCE_INFO
from ssat.mot.kitti import KittiSequence, kitti_names
from ssat.mot.sequence import MotSequence
from ssat.video.natural_order import natural_key


def find_sequences(
    folder: Path,
    names: Sequence[str] = (),
    *,
    part: Literal["train", "test"] = "train",
    only_to_score: bool = False,
) -> list[MotSequence]:
    """Return the sequence in `folder`, or those in its folders, ordered by number.

    Where there are none, its folder `part` or `dataset/part` is used.

    MOTChallenge sequences are folders with seqinfo.ini. A folder with image_02 or label_02 is KITTI tracking, whose
    parts are called training and testing. Else videos with labels of CVAT or in COCO-video form are looked for.

    Args:
        folder: where they lie.
        names: only these; a name is the folder's, or a pattern such as `*-FRCNN`.
        part: of the data set.
        only_to_score: seqinfo.ini need not say frame rate and size of the frames.

    Raises:
        InputError: no such folder, no sequence in it, a name that is not there, or a folder beside the sequences that
            looks like one and has no seqinfo.ini, unless `names` leave it out.
    """
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder; expected MOTChallenge sequences (SEQ/seqinfo.ini)")
    known = _openers(folder, part, only_to_score)
    _refuse_without_info(folder, part, names, known)
    if not known:
        raise InputError(
            f"{folder}: no MOTChallenge sequence; expected seqinfo.ini here or one folder below, or KITTI's image_02 "
            "and label_02, or videos with labels beside them (street.mp4 and street.xml of CVAT, or COCO-video JSON)"
        )
    unknown = [pattern for pattern in names if not fnmatch.filter(known, pattern)]
    if unknown:
        raise InputError(f"{folder}: no sequence {', '.join(unknown)}; there are: {', '.join(known)}")
    return [known[name]() for name in known if _is_wanted(name, names)]


def _is_wanted(name: str, names: Sequence[str]) -> bool:
    return not names or any(fnmatch.fnmatchcase(name, pattern) for pattern in names)


def _openers(folder: Path, part: Literal["train", "test"], only_to_score: bool) -> dict[str, Callable[[], MotSequence]]:
    """Name → what opens the sequence of that name."""
    opened = partial(MotSequence.open, only_to_score=only_to_score)
    if (folder / SEQUENCE_INFO).is_file():
        return {folder.resolve().name: partial(opened, folder)}
    for place in _places(folder, part):
        if folders := _folders_with_info(place):
            return {path.resolve().name: partial(opened, path) for path in folders}
    for place in (folder, folder / f"{part}ing"):
        if kitti := kitti_names(place):
            return {name: partial(KittiSequence.named, place, name) for name in kitti}
    for place in (folder, folder / part):
        if _has_videos(place):
            from ssat.mot.video_sequence import labelled_videos

            if videos := labelled_videos(place):
                return videos
    return {}


def _places(folder: Path, part: str) -> tuple[Path, ...]:
    """Where MOTChallenge sequences may lie; SportsMOT has its parts in a folder `dataset`."""
    return folder, folder / part, folder / "dataset" / part


def _has_videos(folder: Path) -> bool:
    """Whether to look for labelled videos, for which libraries of video are imported."""
    return any(path.suffix.lower() in VIDEO_SUFFIXES for path in folder.glob("*"))


def _folders_with_info(folder: Path) -> list[Path]:
    found = [path.parent for path in folder.glob("*/seqinfo.ini") if not path.parent.name.startswith(".")]
    return sorted(found, key=lambda path: natural_key(path.name))


def _refuse_without_info(
    folder: Path, part: Literal["train", "test"], names: Sequence[str], known: Mapping[str, object]
) -> None:
    """Raise InputError naming folders that look like sequences, are wanted and have no seqinfo.ini."""
    if (folder / SEQUENCE_INFO).is_file():
        return
    places = _places(folder, part)
    # Where one place holds sequences, the others are not used.
    looked_at = next(([place] for place in places if _folders_with_info(place)), list(places))
    lacking = [
        path
        for place in looked_at
        for path in sorted(place.glob("*"), key=lambda path: natural_key(path.name))
        if not path.name.startswith(".") and _looks_like_a_sequence(path) and _is_wanted(path.name, names)
    ]
    if not lacking and not known and _looks_like_a_sequence(folder):
        lacking = [folder]
    if lacking:
        named = ", ".join(str(path) for path in lacking[:3]) + (" …" if lacking[3:] else "")
        rest = "; or name the sequences that are meant" if known else ""
        raise InputError(
            f"{named}: no seqinfo.ini in {len(lacking)} folder{'s' * (len(lacking) > 1)} with gt, det or img1; "
            f"expected one that says [Sequence], name, seqLength, frameRate, imWidth and imHeight{rest}"
        )


def _looks_like_a_sequence(folder: Path) -> bool:
    parts = (folder / LABELS, folder / DETECTIONS)
    return not (folder / SEQUENCE_INFO).is_file() and (
        any(path.is_file() for path in parts) or (folder / "img1").is_dir()
    )
