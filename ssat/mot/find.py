"""Find the sequences of a data set: MOTChallenge or KITTI tracking."""

from __future__ import annotations

import fnmatch
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Literal

from ssat.errors import InputError
from ssat.mot.kitti import KittiSequence, kitti_names
from ssat.mot.sequence import MotSequence
from ssat.video.natural_order import natural_key


def find_sequences(
    folder: Path, names: Sequence[str] = (), *, part: Literal["train", "test"] = "train"
) -> list[MotSequence]:
    """The sequence in `folder`, or those in the folders in it (or in its folder `part`), by the numbers in their names.

    MOTChallenge sequences are folders with seqinfo.ini. A folder with image_02 or label_02 is KITTI tracking, whose
    parts are called training and testing.

    Args:
        folder: where they lie.
        names: only these; a name is the folder's, or a pattern such as `*-FRCNN`.
        part: of the data set.

    Raises:
        InputError: no such folder, no sequence in it, or a name that is not there.
    """
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder; expected MOTChallenge sequences (SEQ/seqinfo.ini)")
    known = _openers(folder, part)
    if not known:
        raise InputError(
            f"{folder}: no MOTChallenge sequence; expected seqinfo.ini here or one folder below, or KITTI's image_02 "
            "and label_02"
        )
    unknown = [pattern for pattern in names if not fnmatch.filter(known, pattern)]
    if unknown:
        raise InputError(f"{folder}: no sequence {', '.join(unknown)}; there are: {', '.join(known)}")
    chosen = [name for name in known if not names or any(fnmatch.fnmatchcase(name, pattern) for pattern in names)]
    return [known[name]() for name in chosen]


def _openers(folder: Path, part: Literal["train", "test"]) -> dict[str, Callable[[], MotSequence]]:
    """Name → what opens the sequence of that name."""
    if (folder / "seqinfo.ini").is_file():
        return {folder.resolve().name: partial(MotSequence.open, folder)}
    for place in (folder, folder / part):
        if folders := _folders_with_info(place):
            return {path.resolve().name: partial(MotSequence.open, path) for path in folders}
    for place in (folder, folder / f"{part}ing"):
        if kitti := kitti_names(place):
            return {name: partial(KittiSequence.named, place, name) for name in kitti}
    return {}


def _folders_with_info(folder: Path) -> list[Path]:
    found = [path.parent for path in folder.glob("*/seqinfo.ini") if not path.parent.name.startswith(".")]
    return sorted(found, key=lambda path: natural_key(path.name))
