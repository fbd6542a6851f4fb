"""The paper's tables (arXiv 2010.13424), shown separately from our figures."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

SOURCE = "Published, arXiv 2010.13424"


@dataclass(frozen=True)
class PublishedRow:
    """A published row: MOTA and IDF1 as shares of 1, identity switches, and what else a table has."""

    method: str
    mota: float
    idf1: float
    idsw: int
    mt: float | None = None
    ml: float | None = None
    fp: int | None = None
    fn: int | None = None

    def as_json(self) -> Mapping[str, Any]:
        """Return the values that the table has."""
        order = ("method", "mota", "idf1", "mt", "ml", "fp", "fn", "idsw")
        return {name: value for name in order if (value := getattr(self, name)) is not None}

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> PublishedRow:
        """Return what `as_json` gave these values."""
        return cls(**values)


def _row(method: str, mota: float, idf1: float, *rest: float) -> PublishedRow:
    names = ("mt", "ml", "fp", "fn", "idsw") if len(rest) == 5 else ("idsw",)
    values: dict[str, Any] = dict(zip(names, rest, strict=True))
    return PublishedRow(method, mota / 100, idf1 / 100, **values)


# MOT17 test, public detections, online. MT and ML are percentages there.
TABLE_1 = [
    _row("MOTDT17", 50.9, 52.7, 17.5, 35.7, 24069, 250768, 2474),
    _row("YOONKJ17", 51.4, 54.0, 21.2, 37.3, 29051, 243202, 2118),
    _row("FAMNet", 52.0, 48.7, 19.1, 33.4, 14138, 253616, 3072),
    _row("Tracktor++", 53.5, 52.3, 19.5, 36.6, 12201, 248047, 2072),
    _row("Tracktor++v2", 56.3, 55.1, 21.1, 35.3, 8866, 235449, 1987),
    _row("GSM Tracktor", 56.4, 57.8, 22.2, 34.5, 14379, 230174, 1485),
    _row("CenterTrack", 61.5, 59.6, 26.4, 31.9, 14076, 200672, 2583),
    _row("UnsuperTrack", 61.7, 58.1, 27.2, 32.4, 16872, 197632, 1864),
    _row("SSAT", 62.0, 62.6, 27.6, 31.8, 14970, 197670, 1850),
]
# The validation half of the seven MOT17 sequences, same refined detections, protocol centertrack-half.
TABLE_2 = [
    _row("CenterTrack", 63.1, 63.2, 127, 83, 1555, 17859, 479),
    _row("SSAT", 64.6, 72.3, 130, 85, 1403, 17531, 153),
]
TABLE_3 = [
    _row("SSAT", 63.7, 68.5, 256),
    _row("+ box term", 64.4, 72.0, 160),
    _row("+ box term + accumulation", 64.6, 72.3, 153),
]
TABLE_4 = [_row("160 clips", 64.2, 70.1, 232), _row("800 clips", 64.0, 71.6, 184), _row("1600 clips", 64.6, 72.3, 153)]
# The same as numbers, for the figure.
TABLE_4_CLIPS = (160, 800, 1600)
