"""The order and the numbers of names that carry digits: frame_2 comes before frame_10."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import PurePosixPath

_DIGITS = re.compile(r"([0-9]+)")


def natural_key(name: str) -> tuple[tuple[tuple[str, int], ...], str]:
    """Sort key by which runs of digits count as numbers and case does not matter; equal ones keep the order of text."""
    parts = _DIGITS.split(name)
    # Text and numbers alternate, beginning with text, so that like is compared with like.
    numbers = [int(part) for part in parts[1::2]] + [-1]
    return tuple(zip((part.casefold() for part in parts[::2]), numbers, strict=True)), name


def numbers_in(names: Sequence[str]) -> list[int] | None:
    """Return the number that every name carries, such as 7 in `frame_0007.jpg`; None if there is no such number.

    Folders and suffixes do not count. Of names that are alike but for their numbers, it is the only number that differs
    from name to name (`cam2_0001.jpg`, `cam2_0002.jpg`: 1, 2); else the last one of each name. No two names may have
    the same number.
    """
    split = [_DIGITS.split(PurePosixPath(name.replace("\\", "/")).stem) for name in names]
    columns = [parts[1::2] for parts in split]
    if not split or not all(columns):
        return None
    alike = len({tuple(parts[::2]) for parts in split}) == 1
    chosen = [numbers[-1] for numbers in columns]
    if alike and len(columns) > 1:
        differing = [column for column in zip(*columns, strict=True) if len({int(text) for text in column}) > 1]
        if len(differing) > 1:
            return None  # a date and a time, say: neither is a frame's number
        if differing:
            chosen = list(differing[0])
    numbers = [int(text) for text in chosen]
    return numbers if len(set(numbers)) == len(numbers) else None
