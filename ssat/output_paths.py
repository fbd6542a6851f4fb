"""Refuse output paths that would replace an input of the same command."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable
from pathlib import Path

from ssat.errors import InputError


def refuse_inputs_as_outputs(outputs: Iterable[Path], inputs: Iterable[Path], remedy: str) -> None:
    """Check that no output path is an input, through links and file systems that ignore case too.

    An input folder (images, labels) also protects the files directly in it: a new file there would be read as one more
    image or label by the next run. Inputs that do not exist are ignored.

    Args:
        outputs: files, or folders, that the command is going to write.
        inputs: files and folders that it reads.
        remedy: the end of the message: what to do, such as "name another folder with setting `output`".

    Raises:
        InputError: names the output and the input.
    """
    existing = [path for path in inputs if path.exists()]
    folders = [path for path in existing if path.is_dir()]
    for output in outputs:
        for path in existing:
            if is_same_path(output, path):
                raise InputError(f"{output}: is an input of this command ({path}), expected another path; {remedy}")
        for folder in folders:
            if is_same_path(output.parent, folder):
                raise InputError(
                    f"{output}: would be written into the folder {folder}, which is an input of this command; {remedy}"
                )


def refuse_source_in(folder: Path, source: Path) -> None:
    """Check that a source folder is not (in) the folder that the command fills, where it would replace its own input.

    Raises:
        InputError: names both.
    """
    if source.is_dir() and any(is_same_path(folder, above) for above in (source, *source.resolve().parents)):
        raise InputError(
            f"{source}: lies in {folder}, where this command writes its own files; expected a source elsewhere. Move "
            "the videos, or name another folder with setting `workspace`"
        )


def is_same_path(first: Path, second: Path) -> bool:
    """Return whether both paths name one file or folder: the same inode, or the same name if one does not exist."""
    try:
        if first.samefile(second):
            return True
    except OSError:
        pass
    if (resolved := first.resolve()) == (other := second.resolve()):
        return True
    # Some network file systems give no stable inodes: names that differ in case are compared by the folder's listing.
    return (
        _folded(resolved) == _folded(other)
        and resolved.exists()
        and other.exists()
        and not (_is_listed(resolved) and _is_listed(other))
    )


def _folded(path: Path) -> str:
    return unicodedata.normalize("NFC", str(path)).casefold()


def _is_listed(path: Path) -> bool:
    """Return whether the folder of an existing path lists it under exactly this name; not so where case is ignored."""
    try:
        return any(entry.name == path.name for entry in path.parent.iterdir())
    except OSError:
        return False
