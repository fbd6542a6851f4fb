"""The zip for the server of MOTChallenge: write it, and check it by the server's rules.

Source: motchallenge.net/instructions: one zip, a file per sequence in its root, named exactly as the sequence; ten
values a line, comma-separated; frames, identities and boxes counted from 1. The server has refused archives that lack
the training sequences ("Wrong number of result files"), so that their absence is a warning.
"""

from __future__ import annotations

import math
import stat
import zipfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from ssat.errors import InputError
from ssat.mot.download import DAMAGED_ZIP
from ssat.mot.sequence import PUBLIC_DETECTORS
from ssat.workspace import committed

_COLUMNS = 10
_NAMES = ("frame", "id", "left", "top", "width", "height", "conf", "x", "y", "z")
_MAX_BYTES = 512 << 20  # of one result file; the longest published sequences give some 50 MB
_FAULTS_SHOWN = 5  # of one file
_DATE = (1980, 1, 1, 0, 0, 0)


def _mot17(lengths: Mapping[str, int]) -> dict[str, int]:
    return {f"MOT17-{name}-{det}": length for name, length in lengths.items() for det in PUBLIC_DETECTORS}


_MOT16_TRAIN = {"02": 600, "04": 1050, "05": 837, "09": 525, "10": 654, "11": 900, "13": 750}
_MOT16_TEST = {"01": 450, "03": 1500, "06": 1194, "07": 500, "08": 625, "12": 900, "14": 750}
# Benchmark → training and test sequences, with their lengths in frames.
BENCHMARKS: dict[str, tuple[dict[str, int], dict[str, int]]] = {
    "MOT15": (
        {
            "ADL-Rundle-6": 525,
            "ADL-Rundle-8": 654,
            "ETH-Bahnhof": 1000,
            "ETH-Pedcross2": 837,
            "ETH-Sunnyday": 354,
            "KITTI-13": 340,
            "KITTI-17": 145,
            "PETS09-S2L1": 795,
            "TUD-Campus": 71,
            "TUD-Stadtmitte": 179,
            "Venice-2": 600,
        },
        {
            "ADL-Rundle-1": 500,
            "ADL-Rundle-3": 625,
            "AVG-TownCentre": 450,
            "ETH-Crossing": 219,
            "ETH-Jelmoli": 440,
            "ETH-Linthescher": 1194,
            "KITTI-16": 209,
            "KITTI-19": 1059,
            "PETS09-S2L2": 436,
            "TUD-Crossing": 201,
            "Venice-1": 450,
        },
    ),
    "MOT16": (
        {f"MOT16-{name}": length for name, length in _MOT16_TRAIN.items()},
        {f"MOT16-{name}": length for name, length in _MOT16_TEST.items()},
    ),
    "MOT17": (_mot17(_MOT16_TRAIN), _mot17(_MOT16_TEST)),
    "MOT20": (
        {"MOT20-01": 429, "MOT20-02": 2782, "MOT20-03": 2405, "MOT20-05": 3315},
        {"MOT20-04": 2080, "MOT20-06": 1008, "MOT20-07": 585, "MOT20-08": 806},
    ),
}


@dataclass
class Submission:
    """Check result of a zip.

    Attributes:
        benchmark: the data set that its names belong to; None: to none.
        faults: each a sentence; the server would refuse the zip, or score it wrongly.
        warnings: what it may refuse.
    """

    benchmark: str | None = None
    faults: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)


def benchmark_of(names: Iterable[str]) -> str | None:
    """Return the data set that most of the names belong to; None: not one of them is known."""
    given = set(names)
    hits = {name: len(given & (train.keys() | test.keys())) for name, (train, test) in BENCHMARKS.items()}
    best = max(hits, key=hits.__getitem__)
    return best if hits[best] else None


def write_submission(path: Path, results: Mapping[str, Path]) -> Path:
    """Write a zip of result files, sequence → file; equal files give equal bytes. Complete or not at all."""
    with committed(path) as temporary, zipfile.ZipFile(temporary, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, file in sorted(results.items()):
            entry = zipfile.ZipInfo(f"{name}.txt", _DATE)
            entry.compress_type, entry.external_attr = zipfile.ZIP_DEFLATED, 0o644 << 16
            archive.writestr(entry, file.read_bytes())
    return path


def check_submission(path: Path, benchmark: str | None = None) -> Submission:
    """Return every fault of a zip, as far as it can be found without the server.

    Args:
        path: the zip; it is not unpacked.
        benchmark: the data set; by default the one that its names belong to.

    Raises:
        InputError: no such file, or no zip.
    """
    try:
        archive = zipfile.ZipFile(path)
    except FileNotFoundError as error:
        raise InputError(f"{path}: no such file; expected a zip of result files") from error
    except (OSError, zipfile.BadZipFile) as error:
        raise InputError(f"{path}: not a zip archive ({error})") from error
    with archive:
        found = Submission()
        entries = _entries(archive, found)
        found.benchmark = benchmark or benchmark_of(entries)
        if found.benchmark is None:
            found.faults.append(
                f"no file is named after a sequence of {', '.join(BENCHMARKS)}; expected, say, MOT17-01-FRCNN.txt"
            )
            return found
        train, test = BENCHMARKS[found.benchmark]
        _check_names(entries, found.benchmark, found)
        for name, entry in sorted(entries.items()):
            if name in train or name in test:
                found.faults.extend(_content_faults(archive, entry, (train | test)[name]))
    return found


def _entries(archive: zipfile.ZipFile, found: Submission) -> dict[str, zipfile.ZipInfo]:
    """Return sequence → entry, of the entries that can be read."""
    entries: dict[str, zipfile.ZipInfo] = {}
    for entry in archive.infolist():
        name = entry.filename
        if entry.is_dir():
            continue
        if "/" in name or "\\" in name:
            found.faults.append(f"{name}: lies in a folder, expected in the root of the zip")
        elif not name.endswith(".txt"):
            found.faults.append(f"{name}: expected SEQUENCE.txt and nothing else")
        elif name.removesuffix(".txt") in entries:
            found.faults.append(f"{name}: is there twice")
        elif stat.S_ISLNK(entry.external_attr >> 16):
            found.faults.append(f"{name}: is a link, expected a file")
        elif entry.flag_bits & 1:
            found.faults.append(f"{name}: is encrypted")
        elif entry.file_size > _MAX_BYTES:
            found.faults.append(f"{name}: unpacks to {entry.file_size >> 20} MiB, more than {_MAX_BYTES >> 20}")
        else:
            entries[name.removesuffix(".txt")] = entry
    return entries


def _check_names(entries: Mapping[str, object], benchmark: str, found: Submission) -> None:
    train, test = BENCHMARKS[benchmark]
    by_lower_case = {name.lower(): name for name in (*train, *test)}
    for name in sorted(set(entries) - set(train) - set(test)):
        right = by_lower_case.get(name.lower())
        hint = f"; expected {right}.txt" if right else ""
        found.faults.append(f"{name}.txt: no sequence of {benchmark}{hint}")
    for name in sorted(set(test) - set(entries)):
        found.faults.append(f"{name}.txt: is missing; {benchmark} has {len(test)} test sequences")
    missing = sorted(set(train) - set(entries))
    if missing:
        found.warnings.append(
            f"{len(missing)} of {len(train)} training sequences are missing ({missing[0]}"
            f"{' …' if missing[1:] else ''}): the server has refused archives without them"
        )


def _content_faults(archive: zipfile.ZipFile, entry: zipfile.ZipInfo, n_frames: int) -> list[str]:
    name, faults = entry.filename, []
    seen: set[tuple[int, int]] = set()
    n_rows = 0
    try:
        with archive.open(entry) as file:
            for number, raw in enumerate(file, start=1):
                if not raw.strip():
                    continue
                n_rows += 1
                if fault := _line_fault(raw, n_frames, seen):
                    faults.append(f"{name}, line {number}: {fault}")
    except (*DAMAGED_ZIP, OSError) as error:
        return [f"{name}: damaged ({error})"]
    if not n_rows:
        return [f"{name}: is empty; every sequence needs a track"]
    if len(faults) > _FAULTS_SHOWN:
        faults[_FAULTS_SHOWN:] = [f"{name}: {len(faults) - _FAULTS_SHOWN} more faulty lines"]
    return faults


def _line_fault(raw: bytes, n_frames: int, seen: set[tuple[int, int]]) -> str | None:
    """Return the fault of a line, or None. `seen` collects frame and identity."""
    try:
        fields = raw.decode("ascii").strip().split(",")
        if len(fields) != _COLUMNS:
            return f"{len(fields)} comma-separated values, expected {_COLUMNS}"
        values = [float(field) for field in fields]
    except ValueError:
        return f"not numbers: {raw[:60]!r}"
    for name, value in zip(_NAMES, values, strict=True):
        if not math.isfinite(value):
            return f"{name} is {value}, expected a finite number"
    frame, identity, _, _, width, height = values[:6]
    if frame != int(frame) or not 1 <= frame <= n_frames:
        return f"frame is {frame:g}, expected a whole number in 1 … {n_frames}"
    if identity != int(identity) or identity < 1:
        return f"id is {identity:g}, expected a whole number from 1"
    if width <= 0 or height <= 0:
        return f"the box is {width:g} wide and {height:g} high, expected more than 0"
    if (key := (int(frame), int(identity))) in seen:
        return f"id {key[1]} is in frame {key[0]} already"
    seen.add(key)
    return None
